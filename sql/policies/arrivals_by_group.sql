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
-- Step 1b: every group, numbered by the row at which its arrivals will begin in the ordered table.
create or replace temp table groups as
select
  cast(sum(arrivals) over (order by group_key) - arrivals as bigint) as g,
  group_key
from (
  select group_key, count(*) as arrivals
  from governed
  group by group_key
);

-- name: arrivals()
-- Step 1c: the instants of the governed events, ordered by group and time, in microseconds since 1970, UTC.
create or replace temp table arrivals as
select groups.g, governed.t
from governed
join groups on governed.group_key = groups.group_key
order by groups.g, governed.t;
