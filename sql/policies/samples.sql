-- name: shown($shown, $look_back, $since, $span_us)
-- For the page: the first episodes, with the time of the fifth-newest rise at each one's peak (where that is one of those
-- that began before the period: the whole look-back). To be run after rolling_counts, whose temporary tables it reads.
create or replace temp table shown as
with first_episodes as (
  select
    groups.g,
    groups.group_key,
    episodes.starts,
    episodes.peak_at
  from episodes
  join groups on episodes.starts // $span_us = groups.g
  order by episodes.starts % $span_us, groups.group_key
  limit $shown
),

reached as (
  select
    first_episodes.starts,
    max(rises.rowid) as row
  from first_episodes
  join rises on first_episodes.peak_at = rises.moment
  group by first_episodes.starts
)

select
  row_number() over (order by first_episodes.starts % $span_us, first_episodes.group_key) as episode,
  first_episodes.group_key,
  epoch_us($look_back) + first_episodes.starts % $span_us as starts,
  case
    when rises.moment // $span_us = first_episodes.g and epoch_us($look_back) + rises.moment % $span_us > epoch_us($since)
    then epoch_us($look_back) + rises.moment % $span_us
    else epoch_us($look_back)
  end as from_t,
  epoch_us($look_back) + first_episodes.peak_at % $span_us as peak_at
from first_episodes
join reached on first_episodes.starts = reached.starts
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
