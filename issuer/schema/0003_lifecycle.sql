-- Suspension: of a document, and of entries in lists that can say so.
alter table document add column suspended bigint not null default 0; -- 0 while it is not
alter table batch_entry add column suspended boolean not null default false;

-- The format that a document is issued in, and the day for which its
-- fingerprint was taken: elements such as the age depend on it.
alter table document add column format text not null default 'mso_mdoc';
alter table document add column as_of bigint not null default 0;

-- When it was found that the register says something else than the copies, 0 as
-- long as it does not; and when the holder's data was forgotten, 0 if it was not.
alter table document add column outdated bigint not null default 0;
alter table document add column forgotten bigint not null default 0;

-- Lists are signed from what is not valid, which are few of many.
create index batch_entry_said on batch_entry (tenant, list) where invalid or suspended;

-- Forgotten documents wait for the end of their copies.
create index document_forgotten on document (tenant, id) where forgotten <> 0;
