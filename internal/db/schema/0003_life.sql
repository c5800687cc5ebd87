-- One row while the database is the one that the role works on. Backups leave it
-- out: a database without it was restored.
create table life (
	id    bigint primary key, -- 0
	epoch bigint not null     -- when it was restored last, milliseconds since 1970; 0 if never
);
insert into life (id, epoch) values (0, 0);
