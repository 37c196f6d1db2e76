-- name: by_user($types, $since, $until, $limit)
-- For the chart of a report: the governed events of its period by type, of the users with the most of them.
-- returns: user_id, event_type, events
with counted as (
  select user_id, event_type, count(*) as events
  from events
  where list_contains($types, event_type)
    and "timestamp" > $since
    and "timestamp" <= $until
  group by user_id, event_type
),

busiest as (
  select user_id, sum(events) as events
  from counted
  group by user_id
  order by events desc, user_id
  limit $limit
)

select counted.user_id, counted.event_type, counted.events
from counted
join busiest on counted.user_id is not distinct from busiest.user_id
order by busiest.events desc, counted.user_id, counted.event_type;

-- name: ages($types, $cutoff, $as_of)
-- For the chart of what a policy keeps: its governed events by day, apart where they are older than its cutoff.
-- returns: day, old, events
select
  cast("timestamp" at time zone 'UTC' as date) as day,
  "timestamp" < $cutoff as old,
  count(*) as events
from events
where list_contains($types, event_type)
  and "timestamp" <= $as_of
group by day, old
order by day, old;
