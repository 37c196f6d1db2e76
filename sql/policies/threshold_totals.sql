-- name: threshold_totals($types, $since, $until, $as_of, $window_start)
-- Question 1's plain counts: matching events of the last window, matching events without a group, events whose
-- condition, or for matching ones a condition of the measure, could not be evaluated, governed events later than as_of,
-- and matching events in a group that have no value to measure. The slots `has_value`, `has_failed` and `is_grouped` are
-- filled by the measure.
-- returns: recent_events, ungrouped_events, where_errors, future_events, valueless_events
select
  count(*) filter (verdict = 1 and "timestamp" > $window_start and "timestamp" <= $as_of) as recent_events,
  count(*) filter (
    verdict = 1 and not grouped and "timestamp" > $since and "timestamp" <= $until
  ) as ungrouped_events,
  count(*) filter (
    (verdict is null or (verdict = 1 and failed)) and "timestamp" > $since and "timestamp" <= $until
  ) as where_errors,
  count(*) filter ("timestamp" > $as_of) as future_events,
  count(*) filter (
    verdict = 1 and grouped and not valued and "timestamp" > $since and "timestamp" <= $until
  ) as valueless_events
from (
  -- The condition is evaluated once: 1 for a match, 0 for none, 2 for unknown, null for an error.
  select
    "timestamp",
    try(coalesce(cast(predicate as integer), 2)) as verdict,
    is_grouped as grouped,
    has_value as valued,
    has_failed as failed
  from events
  where list_contains($types, event_type)
    and "timestamp" > least($since, $window_start)
);

-- name: current_counts($types, $as_of, $window_start, $alert_threshold)
-- The groups at or above the threshold at as_of itself.
-- returns: group_key, events
select key_of_group as group_key, count(*) as events
from events
where list_contains($types, event_type)
  and "timestamp" > $window_start
  and "timestamp" <= $as_of
  and coalesce(try(predicate), false)
  and key_of_group is not null
group by all
having count(*) >= $alert_threshold
order by events desc, group_key;
