-- name: merged_day()
-- All rows of one day, in time order, without the partition column.
select
  event_id,
  event_type,
  "timestamp",
  user_id,
  action,
  resource,
  status,
  details,
  metadata,
  session_id,
  ip_address,
  source,
  ingested_at,
  batch,
  seq,
  salt
from events
order by "timestamp", batch, seq;

-- name: differences()
-- Whether the merged file holds exactly the rows of the files that it replaces, and its bounds.
-- returns: rows, first, last, differing
select
  (select count(*) from merged) as events,
  (select min("timestamp") from merged) as first_event,
  (select max("timestamp") from merged) as last_event,
  (select count(*) from (from events except all from merged))
  + (select count(*) from (from merged except all from events)) as differing;
