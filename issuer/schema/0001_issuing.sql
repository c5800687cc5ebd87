-- What a person has in one installation of an app.
create table document (
	tenant text not null,
	id text not null,
	offering text not null,
	doctype text not null,
	subject text not null,
	grant_id text not null,
	created bigint not null,
	fingerprint bytea not null,
	batches bigint not null,
	copies bigint not null,
	valid_until bigint not null,
	level text not null,
	revoked bigint not null, -- 0 while it is not
	reason text not null,
	primary key (tenant, id)
);
create unique index document_grant on document (tenant, grant_id, offering);
create index document_subject on document (tenant, subject, offering);

-- Signed copies of a document that were handed out together.
create table batch (
	tenant text not null,
	id text not null,
	document text not null,
	issued bigint not null,
	copies bigint not null,
	valid_from bigint not null,
	valid_until bigint not null,
	signer_serial text not null,
	level text not null,
	client text not null,
	wallet text not null,
	wallet_version text not null,
	attester text not null,
	instance_list text not null, -- status of the wallet instance
	instance_index bigint not null,
	instance_ends bigint not null,
	key_list text not null, -- status of where the keys are
	key_index bigint not null,
	key_ends bigint not null,
	primary key (tenant, id)
);
create index batch_document on batch (tenant, document);

-- Where the copies of a batch stand in a status list: indexes as 4 bytes each,
-- big-endian.
create table batch_entry (
	tenant text not null,
	list text not null,
	batch text not null,
	indexes bytea not null,
	invalid boolean not null,
	primary key (tenant, list, batch)
);
create index batch_entry_batch on batch_entry (tenant, batch);
