-- The chains of audit that have checkpoints, so that those of other chains find
-- them without looking through all rows.
create table audit_chain (
	chain  text   primary key,
	sealed bigint not null, -- newest row that a checkpoint of any chain names
	time   bigint not null  -- of that checkpoint, milliseconds since 1970
);
create index audit_chain_time on audit_chain (time);
