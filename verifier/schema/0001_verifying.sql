-- What is asked over the internet. The id is a hash; what the request asks,
-- its response key and the answer are sealed.
create table presentation (
	tenant text not null,
	id text not null,
	handle text not null, -- in request_uri and response_uri
	state text not null,
	created bigint not null,
	expires bigint not null,
	forget bigint not null, -- when the row is deleted
	code text not null, -- hash of the response code; '' before the end
	request bytea not null,
	result bytea not null,
	primary key (tenant, id)
);
create unique index presentation_handle on presentation (tenant, handle);
create index presentation_code on presentation (tenant, code);
create index presentation_forget on presentation (forget);

-- The offline pack of a tenant's readers: signed lists as published.
create table pack_item (
	tenant text not null,
	kind text not null, -- status, crl
	name text not null, -- address
	body bytea not null,
	fetched bigint not null,
	primary key (tenant, kind, name)
);

-- Status lists that documents met so far referred to, and the chains of the
-- documents' signers. A list is shared by very many documents.
create table known_list (
	tenant text not null,
	uri text not null,
	issuer bytea not null, -- JSON array of DER certificates
	seen bigint not null,
	primary key (tenant, uri)
);
