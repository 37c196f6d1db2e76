-- name: shown($shown, $since)
-- For the page: the first episodes, with the time of the fifth-newest arrival at each one's peak.
-- To be run after rolling_counts, whose temporary tables it reads.
create or replace temp table shown as
select
  row_number() over () as episode,
  group_key,
  starts,
  from_t,
  peak_at
from (
  select
    groups.group_key,
    greatest(episodes.starts, epoch_us($since)) as starts,
    arrivals.t as from_t,
    episodes.peak_at
  from episodes
  join groups on episodes.g = groups.g
  join arrivals on arrivals.rowid = greatest(episodes.peak_arrival - 4, episodes.g)
  order by starts, groups.group_key
  limit $shown
);

-- name: samples($types)
-- A few of the events behind each shown episode's peak, newest first.
-- The events near any peak are found first, by time alone; whose they are is asked of those only.
-- returns: group_key, start, then the event
with near as materialized (
  select
    shown.episode,
    shown.group_key,
    shown.starts,
    key_of_group as event_key,
    events.event_id,
    events.event_type,
    events."timestamp",
    events.user_id,
    events.action,
    events.resource,
    events.status,
    events.ip_address,
    events.source
  from events
  join shown
    on epoch_us(events."timestamp") >= shown.from_t
      and epoch_us(events."timestamp") <= shown.peak_at
  where list_contains($types, events.event_type)
    and coalesce(try(predicate), false)
),

ranked as (
  select
    *,
    row_number() over (partition by episode order by "timestamp" desc, source, event_id) as place
  from near
  where event_key = group_key
)

select
  group_key,
  make_timestamptz(starts) as "start",
  "timestamp",
  event_type,
  event_id,
  user_id,
  action,
  resource,
  status,
  ip_address,
  source
from ranked
where place <= 5
order by episode, place;
