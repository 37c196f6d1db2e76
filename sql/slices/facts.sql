-- name: type_days($since_us, $until_us, $as_of_us)
-- The governed events by type and UTC day, up to as_of: of all of them, and of those in the period.
-- returns: event_type, day (in microseconds), events_ever, events, first_seen, last_seen
select
  event_type,
  t - t % 86400000000 as day,
  count(*) as events_ever,
  cast(sum(case when t > $since_us and t <= $until_us then 1 else 0 end) as bigint) as events,
  min(t) as first_seen,
  max(t) as last_seen
from leaf
where t <= $as_of_us
group by event_type, t - t % 86400000000;

-- name: presence($since_us, $until_us, $as_of_us, $window_start_us)
-- Whether anything was received in the period, and in the last window; and the lake's first event.
-- returns: received, received_now, first_event
select
  max(case when t > $since_us and t <= $until_us and is_own = 0 then 1 else 0 end),
  max(case when t > $window_start_us and t <= $as_of_us and is_own = 0 then 1 else 0 end),
  min(case when t <= $as_of_us then t end)
from everything;

-- name: retention($cutoff_us)
-- The governed events older than the policy's cutoff: held, kept by other policies, due. `cutoffs` has the instant of
-- each type from which on it is kept.
-- returns: held, kept, due
select
  cast(coalesce(sum(case when held = 1 then 1 else 0 end), 0) as bigint),
  cast(coalesce(sum(case when held = 0 and t >= cutoffs.cutoff then 1 else 0 end), 0) as bigint),
  cast(coalesce(sum(case when held = 0 and t < cutoffs.cutoff then 1 else 0 end), 0) as bigint)
from leaf
join cutoffs on leaf.event_type = cutoffs.event_type
where t < $cutoff_us;
