-- Requests for documents that an operator has to approve first.
create table request (
	tenant text not null,
	id text not null,
	offering text not null,
	subject text not null,
	grant_id text not null,
	client text not null,
	created bigint not null,
	expires bigint not null,
	wanted bytea not null, -- keys and what is attested of them
	state text not null, -- waiting, approved, denied
	reason text not null,
	primary key (tenant, id)
);
create unique index request_grant on request (tenant, grant_id, offering);
create index request_state on request (tenant, state, created);
