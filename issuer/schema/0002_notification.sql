-- What the app said became of the copies: the event of OpenID4VCI 1.0, 11.1,
-- empty as long as it said nothing.
alter table batch add column event text not null default '';
alter table batch add column event_time bigint not null default 0;
