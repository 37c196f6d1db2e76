-- name: arrivals($types, $look_back, $until)
-- Question 1, step 1 for a policy without group_by and without a condition: the instants of the governed events, in order.
-- Times are whole microseconds since 1970, UTC. g is the row number of its group's first arrival: one group, so 0.
create or replace temp table arrivals as
select
  0 as g,
  epoch_us("timestamp") as t
from moments
where list_contains($types, event_type)
  and "timestamp" > $look_back
  and "timestamp" <= $until
order by t;

-- name: groups()
-- The one group there is.
create or replace temp table groups as
select
  0 as g,
  cast([] as varchar[]) as group_key;
