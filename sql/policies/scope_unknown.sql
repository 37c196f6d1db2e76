-- name: scope_unknown($types, $since, $until)
-- The governed events of the period on which the policy's scope is null or fails: they count as in scope. The slot
-- `scope_of_event` is filled with the scope.
-- returns: events
select count(*) filter (try(scope_of_event) is null) as events
from events
where list_contains($types, event_type)
  and "timestamp" > $since
  and "timestamp" <= $until;
