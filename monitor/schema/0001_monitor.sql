-- The last state of everything that is watched.
create table observation (
	tenant text not null,
	target text not null,
	target_tenant text not null,
	subject text not null,
	level text not null,
	seen text not null,
	since bigint not null,
	checked bigint not null,
	expires bigint not null,
	primary key (tenant, target, target_tenant, subject)
);

-- What changed; seq orders the changes of one moment.
create table change (
	tenant text not null,
	at bigint not null,
	id text not null,
	seq bigint not null,
	target text not null,
	target_tenant text not null,
	subject text not null,
	level_from text not null,
	level_to text not null,
	seen text not null,
	primary key (tenant, at, id, seq)
);
