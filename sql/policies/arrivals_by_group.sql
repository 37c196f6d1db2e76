-- name: groups()
-- Question 1, step 1a for any other policy: a table for its groups; step 1b fills it.
-- The slot `key_of_group` is filled in the syntax tree with the policy's group_by column, or with a list of several that
-- is null where any of them is.
create or replace temp table groups as
select
  cast(0 as bigint) as g,
  key_of_group as group_key
from events
limit 0;

-- name: arrivals($types, $look_back, $until, $origin, $span_us)
-- Step 1b: when each governed event begins to count in its group, in order. Group and time are one number: a group has
-- $span_us microseconds since $origin to itself, more than until its last event is one window old.
-- The slot `predicate` is filled with the policy's `where`; an error in it is no match. Events without a group are never
-- pooled: null equals nothing. The files are read once, and what they give is kept until the groups are known, numbered
-- from 0.
create or replace temp table arrivals as
with governed as materialized (
  select
    key_of_group as group_key,
    epoch_us("timestamp") - epoch_us($origin) as t
  from events
  where list_position($types, event_type) > 0
    and "timestamp" > $look_back
    and "timestamp" <= $until
    and coalesce(try(predicate), false)
),

numbered as (
  insert into groups
  select
    row_number() over (order by group_key) - 1 as g,
    group_key
  from (
    select distinct group_key
    from governed
    where group_key is not null
  )
  returning g, group_key
)

select cast(numbered.g as bigint) * $span_us + governed.t as moment
from governed
join numbered on governed.group_key = numbered.group_key
order by moment;
