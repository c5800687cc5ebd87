create table once (
	tenant  text   not null,
	kind    text   not null,
	id      text   not null, -- a hash where the id itself is a secret
	value   bytea  not null,
	expires bigint not null, -- milliseconds since 1970
	claimed bigint,          -- when it was used, null while it is not
	primary key (tenant, kind, id)
);
create index once_expires on once (expires);

create table audit (
	chain text   not null,   -- one chain per process
	seq   bigint not null,   -- 1, 2, 3, …
	time  bigint not null,   -- milliseconds since 1970
	event text   not null,   -- JSON, as it was hashed
	hash  bytea  not null,   -- SHA-256 over the previous hash and this row
	primary key (chain, seq)
);

-- What packages without SQL remember.
create table record (
	tenant text  not null,
	kind   text  not null,
	id     text  not null,
	value  bytea not null,
	primary key (tenant, kind, id)
);

-- Who does something that only one process may do at a time.
create table lease (
	tenant text   not null,
	name   text   not null,
	holder text   not null,
	ends   bigint not null, -- milliseconds since 1970
	primary key (tenant, name)
);
