-- Keys of tenants, without secrets: the private keys are in the secure area.
create table signing_key (
	tenant text not null,
	id text not null,
	purpose text not null,
	key_id text not null,
	state text not null,
	created bigint not null,
	not_before bigint not null,
	not_after bigint not null,
	chain bytea not null,
	primary key (tenant, id)
);

-- The key whose agreement with itself gives a tenant's MAC key.
create table mac_key (
	tenant text not null,
	key_id text not null,
	primary key (tenant)
);

-- Installations of the app.
create table instance (
	tenant text not null,
	id text not null,
	thumbprint text not null,
	jwk bytea not null,
	app_name text not null,
	app_version text not null,
	platform text not null,
	area_type text not null,
	area_name text not null,
	evidence text not null,
	level text not null,
	created bigint not null,
	last_seen bigint not null,
	revoked bigint not null, -- 0 while it is not
	reason text not null,
	primary key (tenant, id)
);
create unique index instance_thumbprint on instance (tenant, thumbprint);
create index instance_created on instance (tenant, created);

create table status_list (
	tenant text not null,
	id text not null,
	pool text not null,
	bits bigint not null,
	size bigint not null,
	seed bytea not null,
	mark bigint not null,
	is_open boolean not null,
	version bigint not null, -- grows with each change of an entry
	primary key (tenant, id)
);
create index status_list_open on status_list (tenant, pool, is_open);

-- What an instance was given a place in a status list for: the name is the
-- thumbprint of a key of the instance, or a random one of a batch of attested keys.
create table status_entry (
	tenant text not null,
	list text not null,
	idx bigint not null,
	instance text not null,
	kind text not null, -- instance or keys
	name text not null,
	keys bigint not null, -- how many keys were attested together
	area_type text not null,
	level text not null,
	app_version text not null,
	created bigint not null,
	ends bigint not null, -- until when the entry is kept up to date
	invalid boolean not null,
	primary key (tenant, list, idx)
);
create unique index status_entry_name on status_entry (tenant, instance, kind, name);

-- Signed lists, ready to serve; the newest only.
create table status_edition (
	tenant text not null,
	list text not null,
	version bigint not null, -- of the list that was signed
	issued bigint not null,
	expires bigint not null,
	ttl bigint not null,
	jwt bytea not null,
	cwt bytea not null,
	primary key (tenant, list)
);

-- Who does something that only one process may do at a time.
create table lease (
	tenant text not null,
	name text not null,
	holder text not null,
	ends bigint not null,
	primary key (tenant, name)
);
