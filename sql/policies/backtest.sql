-- name: falls()
-- The falls in order, as rolling_counts.sql has the rises: after the n-th of them (n from 0) the count is place - n rises
-- less n + 1 falls.
create or replace temp table falls as
select
  change >> 1 as moment,
  rowid as place
from changes
where change & 1 = 0;

-- name: backtest($thresholds)
-- How many episodes each of $thresholds would have given, all of them from the same changes: the last step of a backtest,
-- after those of rolling_counts up to rises. Each rise reaches one threshold, so an episode begins wherever a rise brings
-- the count to the threshold, except where a fall at the same instant had brought it from there: a moment is judged after
-- all that happens in it. At one instant the falls come first, so each of them has at most one such rise.
-- Of what began to count before the period nothing ends before it: such an episode is one, however early it is seen.
-- returns: threshold, episodes
with wanted as (
  select distinct unnest($thresholds) as threshold
),

reached as (
  select 2 * rowid + 1 - place as events, count(*) as times
  from rises
  where 2 * rowid + 1 - place <= list_max($thresholds)
  group by events
),

-- A fall leaves the count that it falls from; here, what it was before.
left_behind as (
  select moment, place - 2 * rowid as events
  from falls
  where place - 2 * rowid <= list_max($thresholds)
),

regained as (
  select rises.events, count(*) as times
  from (
    select moment, 2 * rowid + 1 - place as events
    from rises
    where 2 * rowid + 1 - place <= list_max($thresholds)
  ) as rises
  join left_behind on rises.moment = left_behind.moment and rises.events = left_behind.events
  group by rises.events
)

select
  wanted.threshold,
  cast(coalesce(reached.times, 0) - coalesce(regained.times, 0) as bigint) as episodes
from wanted
left join reached on wanted.threshold = reached.events
left join regained on wanted.threshold = regained.events
order by wanted.threshold;
