-- name: threshold_totals($types, $as_of, $window_start)
-- Question 1's plain counts for a policy without a condition and without groups: then nothing is without a group or in error, and the
-- last window and what is later than as_of are all that has to be read.
-- returns: recent_events, ungrouped_events, where_errors, future_events, valueless_events
select
  count(*) filter ("timestamp" <= $as_of) as recent_events,
  0 as ungrouped_events,
  0 as where_errors,
  count(*) filter ("timestamp" > $as_of) as future_events,
  0 as valueless_events
from moments
where list_contains($types, event_type)
  and "timestamp" > $window_start;

-- name: current_counts($types, $as_of, $window_start, $alert_threshold)
-- The one group there is, if it is at or above the threshold at as_of itself.
-- returns: group_key, events
select
  cast([] as varchar[]) as group_key,
  count(*) as events
from moments
where list_contains($types, event_type)
  and "timestamp" > $window_start
  and "timestamp" <= $as_of
having count(*) >= $alert_threshold;
