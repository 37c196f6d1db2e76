-- name: shown($shown, $origin, $since, $span_us, $window_us, $whole_window)
-- For the page: the first episodes, with the time of the fifth-newest rise at each one's peak, at the earliest that at
-- which the window of the peak begins; that one with $whole_window, for measures of which an event need not be a rise. A
-- peak before the period is one at its beginning. To be run after rolling_counts, whose temporary tables it reads.
create or replace temp table shown as
with first_episodes as (
  select
    groups.g,
    groups.group_key,
    greatest(epoch_us($origin) + episodes.starts % $span_us, epoch_us($since)) as starts,
    episodes.peak_at
  from episodes
  join groups on episodes.starts // $span_us = groups.g
  order by starts, groups.group_key
  limit $shown
),

reached as (
  select
    first_episodes.g,
    first_episodes.starts,
    max(rises.rowid) as row
  from first_episodes
  join rises on first_episodes.peak_at = rises.moment
  group by first_episodes.g, first_episodes.starts
)

select
  row_number() over (order by first_episodes.starts, first_episodes.group_key) as episode,
  first_episodes.group_key,
  first_episodes.starts,
  greatest(
    greatest(epoch_us($origin) + first_episodes.peak_at % $span_us, epoch_us($since)) - $window_us + 1,
    case
      when not $whole_window and rises.moment // $span_us = first_episodes.g
      then epoch_us($origin) + rises.moment % $span_us
    end
  ) as from_t,
  greatest(epoch_us($origin) + first_episodes.peak_at % $span_us, epoch_us($since)) as peak_at
from first_episodes
join reached
  on first_episodes.g = reached.g
    and first_episodes.starts = reached.starts
join rises on greatest(reached.row - 4, 0) = rises.rowid;

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
  make_timestamptz(cast(starts as bigint)) as "start",
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
