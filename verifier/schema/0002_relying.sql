-- Who may read the answer: the public key that it is sealed to, whose private
-- half is derived from the secret that the relying party's session holds. Empty
-- if the answer is to be kept: then it is sealed under the tenant's key.
alter table presentation add column opener bytea not null default '';
-- How long the answer is kept, milliseconds; 0 if it is not to be retained.
alter table presentation add column retain bigint not null default 0;
-- What came and went on the wire, sealed under the tenant's key; only of what is kept.
alter table presentation add column evidence bytea not null default '';
create index presentation_open on presentation (expires) where state = 'waiting' or state = 'fetched';
create index presentation_id on presentation (id); -- for those that wait for many

-- What became of transactions, for the relying party's operator: no attributes.
create table history (
	tenant text not null,
	id text not null,
	created bigint not null,
	ended bigint not null,
	state text not null,
	verdict text not null,
	report bytea not null, -- checks of the answer, sealed under the tenant's key
	forget bigint not null,
	primary key (tenant, id)
);
create index history_created on history (tenant, created);
create index history_forget on history (forget);

-- What holders asked the relying party to delete, sealed under the tenant's key.
create table deletion (
	tenant text not null,
	id text not null,
	created bigint not null,
	request bytea not null,
	forget bigint not null,
	primary key (tenant, id)
);
create index deletion_created on deletion (tenant, created);
create index deletion_forget on deletion (forget);
