-- name: newest()
-- When the newest event happened.
-- returns: newest
select max("timestamp") as newest
from events;

-- name: types($since, $until)
-- How much of each type a usual day has, and how many seconds there were at most between two events.
-- returns: event_type, events, days, usual, busiest, silence, last
with
  -- The events of a type on a day, and the longest time since the one before.
  after_another as (
    select
      event_type,
      "timestamp",
      epoch("timestamp") - epoch(lag("timestamp") over (partition by event_type order by "timestamp")) as silence
    from events
    where "timestamp" > $since
      and "timestamp" <= $until
  ),
  by_day as (
    select
      event_type,
      cast("timestamp" at time zone 'UTC' as date) as day,
      count(*) as events,
      max(silence) as silence,
      max("timestamp") as last
    from after_another
    group by all
  )
select
  event_type,
  cast(sum(events) as bigint) as events,
  count(*) as days,
  quantile_disc(events, 0.5) as usual,
  max(events) as busiest,
  max(silence) as silence,
  max(last) as last
from by_day
group by event_type
order by event_type;

-- name: groups($types, $since, $until)
-- What one user causes of these types on a day, all types together; null is everybody without a name.
-- returns: user_id, day, events
select
  user_id,
  cast("timestamp" at time zone 'UTC' as date) as day,
  count(*) as events
from events
where "timestamp" > $since
  and "timestamp" <= $until
  and list_contains($types, event_type)
group by all;
