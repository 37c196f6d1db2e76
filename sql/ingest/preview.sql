-- name: preview($ingested_at)
-- What would land, as the lake's readers see it: `landing` as land.sql makes it.
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
  cast($ingested_at as timestamptz) as ingested_at,
  cast(null as bigint) as batch,
  cast(null as bigint) as seq,
  cast(null as blob) as salt,
  cast("timestamp" as date) as event_date
from landing;
