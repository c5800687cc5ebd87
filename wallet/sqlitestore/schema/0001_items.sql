-- Everything the mdoc app remembers: small values by kind and id.
create table item (
	tenant text   not null,
	kind   text   not null,
	id     text   not null,
	value  bytea  not null,
	primary key (tenant, kind, id)
);
