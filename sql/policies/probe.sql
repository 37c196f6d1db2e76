-- name: odd_events($texts, $times)
-- Events that bring out what fails in a condition: each text stands in every column of text, at each time.
-- returns: every column that a condition may name
select
  t as event_id,
  t as event_type,
  ts as "timestamp",
  t as user_id,
  t as action,
  t as resource,
  t as status,
  t as details,
  t as metadata,
  t as session_id,
  t as ip_address,
  t as source,
  ts as ingested_at,
  cast(ts as date) as event_date
from (select unnest(cast($texts as varchar[])) as t)
cross join (select unnest(cast($times as timestamptz[])) as ts);
