-- name: matching($types, $look_back, $until)
-- The measure together: each step that a matching event belongs to, in the group that the step gives it. The slot
-- `steps_of_event` is a list with a number, from 0, and a key for each step; null for those that the event is none of.
-- What follows is as for distinct, with the step as the value.
create or replace temp table matching as
select
  step.group_key,
  step.number as value,
  t
from (
  select
    unnest(steps_of_event) as step,
    epoch_us("timestamp") as t
  from events
  where list_position($types, event_type) > 0
    and "timestamp" > $look_back
    and "timestamp" <= $until
    and coalesce(try(predicate), false)
)
where step.group_key is not null;

-- name: spans_together($since, $until)
-- With a condition over the steps: from when to when it holds and any step is present. Of the number `present` each step
-- has one bit, set while it is present; the slot `steps_hold` is the condition over these bits. Where a step
-- leaves it may begin or end to hold: what lies outside of the period is left out.
create or replace temp table spans as
with edges as (
  select
    spans.g,
    spans.rise as t,
    1 << different.value as bit
  from spans
  join different on spans.v = different.v
  where spans.rise is not null
  union all
  select
    spans.g,
    spans.fall as t,
    -(1 << different.value) as bit
  from spans
  join different on spans.v = different.v
  where spans.fall is not null
),

levels as (
  select
    g,
    t,
    cast(sum(sum(bit)) over (partition by g order by t) as bigint) as present
  from edges
  group by g, t
),

turns as (
  select
    g,
    t,
    holds,
    coalesce(lag(holds) over (partition by g order by t), false) as held_before
  from (
    select
      g,
      t,
      present > 0 and steps_hold as holds
    from levels
  )
)

select
  g,
  case when holds then t end as rise,
  case when not holds then t end as fall
from (
  select
    g,
    t,
    holds,
    case when holds then t else lag(t) over (partition by g order by t) end as begins,
    case when holds then lead(t) over (partition by g order by t) else t end as ends
  from turns
  where holds <> held_before
)
where begins <= epoch_us($until)
  and ends > epoch_us($since);
