-- name: events($types, $start, $end, $users, $statuses, $resources, $ip_addresses, $sessions, $sources, $limit)
-- Events that match every filter that is given (a null filter is none), in time order. start and end are inclusive.
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
  event_date
from events
where ($types is null or list_contains($types, event_type))
  and ($start is null or "timestamp" >= $start)
  and ($end is null or "timestamp" <= $end)
  and ($users is null or list_contains($users, user_id))
  and ($statuses is null or list_contains($statuses, status))
  and ($resources is null or list_contains($resources, resource))
  and ($ip_addresses is null or list_contains($ip_addresses, ip_address))
  and ($sessions is null or list_contains($sessions, session_id))
  and ($sources is null or list_contains($sources, source))
order by "timestamp", source, event_id
limit $limit;

-- name: cuts($size)
-- The instants that part the events into stretches of so many, each the last of its stretch; one that has many ends one.
select distinct "timestamp"
from (select "timestamp", row_number() over (order by "timestamp") as number from events)
where number % $size = 0
order by "timestamp";

-- name: unpacked($paths)
-- How many bytes the columns of some files have, once they are decompressed: their footers say it.
select coalesce(sum(total_uncompressed_size), 0)
from parquet_metadata($paths);

-- name: statuses()
-- Every status that an event has.
select distinct status
from events
where status is not null;
