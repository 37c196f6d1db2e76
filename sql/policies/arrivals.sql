-- name: arrivals($types, $look_back, $until, $origin)
-- Question 1, step 1 for a policy without group_by and without a condition: when each governed event begins to count, in
-- order, in microseconds since $origin.
create or replace temp table arrivals as
select epoch_us("timestamp") - epoch_us($origin) as moment
from moments
where list_position($types, event_type) > 0
  and "timestamp" > $look_back
  and "timestamp" <= $until
order by moment;

-- name: groups()
-- The one group there is.
create or replace temp table groups as
select
  0 as g,
  cast([] as varchar[]) as group_key;
