-- name: arrivals($types, $look_back, $until)
-- Question 1, step 1 for a policy without group_by: the instants of the governed events, in order.
-- Times are whole microseconds since 1970, UTC. g is the row number of its group's first arrival: one group, so 0.
-- The slot `predicate` is filled in the syntax tree with the policy's `where`; an error in it is no match.
create or replace temp table arrivals as
select
  0 as g,
  epoch_us("timestamp") as t
from events
where list_contains($types, event_type)
  and "timestamp" > $look_back
  and "timestamp" <= $until
  and coalesce(try(predicate), false)
order by t;

-- name: groups()
-- The one group there is.
create or replace temp table groups as
select
  0 as g,
  cast([] as varchar[]) as group_key;
