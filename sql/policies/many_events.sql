-- name: arrived($types, $look_back, $until)
-- For a stretch of days that has many events: of which type, when, and in which group each event is that counts; what
-- follows is no SQL (auditlake/policies/sweep.py). The slots are those of arrivals_by_group.sql, but `text_of_group`, which
-- is the group as one text.
select
  cast(list_position($types, event_type) as usmallint) as number,
  epoch_us("timestamp") as t,
  text_of_group as g
from events
where list_position($types, event_type) > 0
  and "timestamp" > $look_back
  and "timestamp" <= $until
  and coalesce(try(predicate), false);
