-- name: governed($types, $look_back, $until)
-- Question 1, step 1a for any other policy: the governed events of every group, unordered.
-- Two slots are filled in the syntax tree: `predicate` with the policy's `where` (an error in it is no match), and
-- `key_of_group` with its group_by column, or a list of several that is null where any of them is. Events without a
-- group are never pooled.
create or replace temp table governed as
select
  key_of_group as group_key,
  epoch_us("timestamp") as t
from events
where list_contains($types, event_type)
  and "timestamp" > $look_back
  and "timestamp" <= $until
  and coalesce(try(predicate), false)
  and key_of_group is not null;

-- name: groups()
-- Step 1b: every group, numbered from 0.
create or replace temp table groups as
select
  row_number() over (order by group_key) - 1 as g,
  group_key
from (
  select distinct group_key
  from governed
);

-- name: arrivals($look_back, $since, $window_us, $span_us)
-- Step 1c: when each event begins to count in its group, and when it no longer does. Group and time are one number: a
-- group has $span_us microseconds to itself, more than lie between $look_back and the last close. What began before the
-- period counts from its start.
create or replace temp table arrivals as
select
  cast(groups.g as bigint) * $span_us + greatest(governed.t, epoch_us($since)) - epoch_us($look_back) as opens,
  cast(groups.g as bigint) * $span_us + governed.t - epoch_us($look_back) + $window_us as closes
from governed
join groups on governed.group_key = groups.group_key;
