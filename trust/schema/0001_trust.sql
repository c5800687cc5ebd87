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

-- What was found at the sources of the configuration. Who pinned a key and
-- when is with the pins, among the single-use things.
create table source (
	tenant text not null,
	name text not null,
	purpose text not null,
	certificate bytea not null, -- listed; empty if none was found yet
	fetched bigint not null, -- when it answered last
	problem text not null, -- why the last attempt failed
	pending bytea not null, -- with another key, waits to be accepted; empty if none
	pending_since bigint not null,
	primary key (tenant, name)
);

-- Signed lists, ready to serve; the newest only. Numbers only grow.
create table publication (
	tenant text not null,
	kind text not null, -- vical, anchors or crl
	sequence bigint not null,
	digest bytea not null, -- of the content that was signed
	issued bigint not null,
	expires bigint not null,
	body bytea not null,
	primary key (tenant, kind)
);

-- Who does something that only one process may do at a time.
create table lease (
	tenant text not null,
	name text not null,
	holder text not null,
	ends bigint not null,
	primary key (tenant, name)
);
