-- name: merged_day()
-- All rows of some files of a day, in time order, without the partition column.
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
-- How many rows the merged files hold otherwise than the files that they replace.
-- returns: differing
select
  (select count(*) from (from events except all from merged))
  + (select count(*) from (from merged except all from events)) as differing;
