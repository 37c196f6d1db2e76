-- name: oldest_event($types, $as_of)
-- The oldest governed event up to as_of, in scope or not: retention knows no scope.
-- returns: oldest
select min("timestamp") as oldest
from events
where list_contains($types, event_type)
  and "timestamp" <= $as_of;
