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
