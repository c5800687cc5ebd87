-- Who is told of events. Signatures are made with secrets that are derived from
-- the generation and are stored nowhere.
create table outbox_endpoint (
	tenant     text    not null,
	id         text    not null,
	url        text    not null,
	kinds      text    not null, -- " kind kind ", empty for all
	active     boolean not null,
	created    bigint  not null, -- milliseconds since 1970, as all times here
	generation bigint  not null, -- of the secret
	rotated    bigint  not null, -- when that began
	failures   bigint  not null, -- one after the other, 0 after a success
	resume     bigint  not null, -- nothing is sent before, after failures
	primary key (tenant, id)
);

-- An event on its way to an endpoint. It goes when it has arrived.
create table outbox_message (
	tenant   text    not null,
	endpoint text    not null,
	id       text    not null, -- the event's, the same for all endpoints
	kind     text    not null,
	body     text    not null,
	created  bigint  not null,
	due      bigint  not null, -- next try; while one runs, when its lease ends
	tries    bigint  not null,
	given_up boolean not null,
	problem  text    not null, -- of the last try
	primary key (tenant, endpoint, id)
);
create index outbox_message_due on outbox_message (tenant, endpoint, given_up, due);
