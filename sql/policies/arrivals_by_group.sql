-- name: groups($types, $look_back, $until)
-- Question 1, step 1a for any other policy: every group that has a governed event on the days in question, numbered from
-- 0. The days come last: then DuckDB skips the files of all others, and no time has to be read.
-- Two slots are filled in the syntax tree: `predicate` with the policy's `where` (an error in it is no match), and
-- `key_of_group` with its group_by column, or a list of several that is null where any of them is. Events without a
-- group are never pooled.
create or replace temp table groups as
select
  row_number() over (order by group_key) - 1 as g,
  group_key
from (
  select distinct key_of_group as group_key
  from events
  where list_position($types, event_type) > 0
    and coalesce(try(predicate), false)
    and event_date >= cast(timezone('UTC', $look_back) as date)
    and event_date <= cast(timezone('UTC', $until) as date)
)
where group_key is not null;

-- name: arrivals($types, $look_back, $until, $origin, $span_us)
-- Step 1b: when each governed event begins to count in its group, in order. Group and time are one number: a group has
-- $span_us microseconds since $origin to itself, more than until its last event is one window old.
create or replace temp table arrivals as
select cast(groups.g as bigint) * $span_us + epoch_us("timestamp") - epoch_us($origin) as moment
from events
join groups on key_of_group = groups.group_key
where list_position($types, event_type) > 0
  and "timestamp" > $look_back
  and "timestamp" <= $until
  and coalesce(try(predicate), false)
order by moment;
