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
