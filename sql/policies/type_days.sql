-- name: type_days($types, $since, $until, $as_of)
-- The governed events by type and UTC day, up to as_of: of all of them, and of those in the period.
create or replace temp table type_days as
select
  event_type,
  epoch_us("timestamp") // 86400000000 as day,
  count(*) as events_ever,
  count(*) filter ("timestamp" > $since and "timestamp" <= $until) as events,
  min("timestamp") as first_seen,
  max("timestamp") as last_seen
from moments
where list_contains($types, event_type)
  and "timestamp" <= $as_of
group by event_type, day;
