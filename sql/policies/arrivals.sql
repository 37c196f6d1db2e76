-- name: arrivals($types, $look_back, $since, $until, $window_us)
-- Question 1, step 1 for a policy without group_by and without a condition: when each governed event begins to count, and
-- when it no longer does. Times are microseconds since $look_back. What began before the period counts from its start.
create or replace temp table arrivals as
select
  epoch_us(greatest("timestamp", $since)) - epoch_us($look_back) as opens,
  epoch_us("timestamp") - epoch_us($look_back) + $window_us as closes
from moments
where list_contains($types, event_type)
  and "timestamp" > $look_back
  and "timestamp" <= $until;

-- name: groups()
-- The one group there is.
create or replace temp table groups as
select
  0 as g,
  cast([] as varchar[]) as group_key;
