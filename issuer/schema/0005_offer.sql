-- Offers that nobody has taken up yet, so that their end can be told.
create table offer (
	tenant text not null,
	id text not null, -- that in the audit
	expires bigint not null,
	primary key (tenant, id)
);
create index offer_expires on offer (expires);
