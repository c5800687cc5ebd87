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
	kind text not null, -- vical or anchors
	sequence bigint not null,
	digest bytea not null, -- of the content that was signed
	issued bigint not null,
	expires bigint not null,
	body bytea not null,
	primary key (tenant, kind)
);
