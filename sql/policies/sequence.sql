-- name: matching($types, $look_back, $until)
-- The measure sequence: the matching events that are in a group and in any step. The slot `steps_of_event` is a number with
-- one bit for each step, from the first, and one for `until` after the last; 0 for an event that is none of them. It is
-- unnested where it has conditions: what these read would be evaluated once more for the comparison. The slot `told_by` is
-- a list of source and id, null where two bits at most are asked for.
create or replace temp table matching as
select *
from (
  select
    key_of_group as group_key,
    epoch_us("timestamp") as t,
    steps_of_event as steps,
    told_by as source_and_id
  from events
  where list_position($types, event_type) > 0
    and "timestamp" > $look_back
    and "timestamp" <= $until
    and coalesce(try(predicate), false)
    and key_of_group is not null
)
where steps > 0;

-- name: in_order()
-- The events of each group in the order in which they count: by time, then by the last and the first step that they are
-- of, then by source and id, so that whole seconds make no misses and files in another order no other answer.
create or replace temp view in_order as
select
  groups.g,
  matching.t,
  matching.steps
from matching
join groups on matching.group_key = groups.group_key
order by
  groups.g,
  matching.t,
  (cast(floor(log2(matching.steps)) as bigint) << 32) + (matching.steps & -matching.steps),
  matching.source_and_id;

-- name: in_order_by_step()
-- The same where an event has two bits at most: those of the same first and last step are alike. One of a step alone comes
-- after those of that step and one before, and before those of the next step: as if its number were doubled.
create or replace temp view in_order as
select
  groups.g,
  matching.t,
  matching.steps
from matching
join groups on matching.group_key = groups.group_key
order by
  groups.g,
  matching.t,
  case when matching.steps & (matching.steps - 1) = 0 then matching.steps * 2 else matching.steps end;

-- name: ordered($window_us, $step_counts)
-- These with their places. An event that has no other of its group within a window of it is left out: no chain of several
-- lies in a window with it.
create or replace temp table ordered as
select
  row_number() over () as r,
  g,
  t,
  steps
from (
  select
    *,
    lag(g) over () as g_before,
    lag(t) over () as t_before,
    lead(g) over () as g_after,
    lead(t) over () as t_after
  from in_order
)
where list_sum($step_counts) = 1
  or (g_before = g and t - t_before < $window_us)
  or (g_after = g and t_after - t < $window_us);

-- name: first_step($window_us, $step_counts, $step_windows)
-- For each step and each event that can end it: where the chain up to it begins at the latest (`latest`, at `began`),
-- where its own events begin (`opens`, at `opens_at`), and which event ends the step before (`via`); events are told by
-- their places in the order. A step takes as many events as $step_counts says, the last of them; they lie within
-- $step_windows, if that is not null, and the chain within the window. This is the first step; the table is in order
-- already.
create or replace temp table chains as
select
  cast(1 as bigint) as step,
  g,
  r,
  t,
  opens as latest,
  opens_at as began,
  opens,
  opens_at,
  cast(null as bigint) as via
from (
  select
    g,
    r,
    t,
    lag(g, cast($step_counts[1] - 1 as bigint)) over () as opens_g,
    lag(r, cast($step_counts[1] - 1 as bigint)) over () as opens,
    lag(t, cast($step_counts[1] - 1 as bigint)) over () as opens_at
  from ordered
  where steps & 1 = 1
)
where opens_g = g
  and t - opens_at < least($step_windows[1], $window_us);

-- name: next_step($window_us, $step_counts, $step_windows)
-- The step after the last one there is; to be run once for each step after the first. The latest beginning that can be
-- reached grows with the place in the order, so it is that of the last event before which ends the step before. If that
-- event is of another group, the group has no such event.
insert into chains
with done as (
  select max(step) as step
  from chains
),

before as (
  select chains.*
  from chains
  join done on chains.step = done.step
),

opened as (
  select
    done.step,
    ordered.g,
    ordered.r,
    ordered.t,
    lag(ordered.r, cast($step_counts[done.step + 1] - 1 as bigint)) over (order by ordered.r) as opens,
    lag(ordered.t, cast($step_counts[done.step + 1] - 1 as bigint)) over (order by ordered.r) as opens_at
  from ordered
  cross join done
  where (ordered.steps >> done.step) & 1 = 1
)

select
  opened.step + 1 as step,
  opened.g,
  opened.r,
  opened.t,
  before.latest,
  before.began,
  opened.opens,
  opened.opens_at,
  before.r as via
from opened
asof join before on opened.opens > before.r
where opened.g = before.g
  and opened.t - opened.opens_at < coalesce($step_windows[opened.step + 1], $window_us)
  and opened.t - before.began < $window_us;

-- name: next_step_of_one($window_us)
-- The same where the step takes a single event.
insert into chains
with done as (
  select max(step) as step
  from chains
)

select
  ends.step + 1 as step,
  ends.g,
  ends.r,
  ends.t,
  before.latest,
  before.began,
  ends.r as opens,
  ends.t as opens_at,
  before.r as via
from (
  select
    ordered.g,
    ordered.r,
    ordered.t,
    done.step
  from ordered
  cross join done
  where (ordered.steps >> done.step) & 1 = 1
) as ends
asof join (
  select chains.*
  from chains
  join done on chains.step = done.step
) as before on ends.r > before.r
where ends.g = before.g
  and ends.t - before.began < $window_us;

-- name: completed($window_us, $step_counts)
-- The events that complete a chain, and when that no longer lies in the window: when the event that it begins with is one
-- window old.
create or replace temp table completed as
select
  g,
  r,
  t,
  latest,
  began + $window_us as ends
from chains
where step = len($step_counts);

-- name: unstopped($step_counts)
-- Those whose chain has no event of `until` between its first and its last event.
create or replace temp table completed as
select completed.*
from completed
asof left join (
  select r
  from ordered
  where (steps >> len($step_counts)) & 1 = 1
) as stops on completed.r > stops.r
where coalesce(stops.r, 0) <= completed.latest;

-- name: spans()
-- From a completing event until its chain has left the window. Stretches that overlap or touch are one interval; their
-- ends are compared with the farthest so far, since an end need not grow from one to the next.
create or replace temp table spans as
select
  g,
  case when ends_before is null or t > ends_before then t end as rise,
  case when t_after is null or t_after > farthest then farthest end as fall
from (
  select
    g,
    t,
    farthest,
    lag(farthest) over (partition by g order by r) as ends_before,
    lead(t) over (partition by g order by r) as t_after
  from (
    select
      g,
      r,
      t,
      max(ends) over (partition by g order by r) as farthest
    from completed
  )
)
where rise is not null
  or fall is not null;

-- name: evidence($origin, $since, $until, $span_us, $step_counts)
-- The chain that stands at the start of each episode, of several the one that ends and so begins latest: of each step its
-- first and its last event, and the instants of at most twenty of its events, those that came first. And how many events
-- of its group complete a chain in the period.
-- returns: group_key, start, step, first, last, instants, completions
with recursive begun as (
  select
    starts // $span_us as g,
    greatest(epoch_us($origin) + starts % $span_us, epoch_us($since)) as starts_at
  from episodes
),

completions as (
  select
    g,
    count(*) filter (t > epoch_us($since) and t <= epoch_us($until)) as events
  from completed
  group by g
),

links as (
  select
    begun.g,
    begun.starts_at,
    completions.events,
    cast(len($step_counts) as bigint) as step,
    newest.r
  from begun
  asof join (
    select
      g,
      t,
      max(r) as r
    from completed
    group by g, t
  ) as newest on begun.g = newest.g and begun.starts_at >= newest.t
  join completions on begun.g = completions.g
  union all
  select
    links.g,
    links.starts_at,
    links.events,
    links.step - 1 as step,
    chains.via as r
  from links
  join chains on links.step = chains.step and links.r = chains.r
  where links.step > 1
),

-- The events of each step that takes several, numbered, in groups that have an episode.
numbered as materialized (
  select
    step,
    r,
    t,
    row_number() over (partition by step order by r) as n
  from (
    select
      unnest(range(1, len($step_counts) + 1)) as step,
      r,
      t,
      steps
    from ordered
    where g in (select g from begun)
  )
  where $step_counts[step] > 1
    and steps >> (step - 1) & 1 = 1
),

opened as (
  select
    links.step,
    links.r,
    unnest(range(opening.n, opening.n + least($step_counts[links.step], 20))) as n
  from (select distinct step, r from links) as links
  join chains on links.step = chains.step and links.r = chains.r
  join numbered as opening on chains.step = opening.step and chains.opens = opening.r
),

listed as (
  select
    opened.step,
    opened.r,
    list(make_timestamptz(numbered.t) order by opened.n) as instants
  from opened
  join numbered on opened.step = numbered.step and opened.n = numbered.n
  group by opened.step, opened.r
)

select
  groups.group_key,
  make_timestamptz(cast(links.starts_at as bigint)) as "start",
  links.step,
  make_timestamptz(chains.opens_at) as "first",
  make_timestamptz(chains.t) as "last",
  coalesce(listed.instants, [make_timestamptz(chains.t)]) as instants,
  links.events as completions
from links
join chains on links.step = chains.step and links.r = chains.r
join groups on links.g = groups.g
left join listed on links.step = listed.step and links.r = listed.r
order by "start", groups.group_key, links.step;

-- name: tally_by_day($since, $until)
-- How many events of each group complete a chain on each UTC day of (since, until].
-- returns: day, group_key, completions
select
  completed.t // 86400000000 as day,
  groups.group_key,
  count(*) as completions
from completed
join groups on completed.g = groups.g
where completed.t > epoch_us($since)
  and completed.t <= epoch_us($until)
group by all
order by all;
