-- A list is built from its entries that are not valid, which are few.
create index status_entry_invalid on status_entry (tenant, list, idx) where invalid;
