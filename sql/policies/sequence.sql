-- name: matching($types, $look_back, $until)
-- The measure sequence: the matching events that are in a group and in any step. The slot `steps_of_event` is a number with
-- one bit for each step, from the first, and one for `until` after the last; 0 for an event that is none of them.
create or replace temp table matching as
select
  key_of_group as group_key,
  epoch_us("timestamp") as t,
  cast(steps_of_event as bigint) as steps,
  source,
  event_id
from events
where list_position($types, event_type) > 0
  and "timestamp" > $look_back
  and "timestamp" <= $until
  and coalesce(try(predicate), false)
  and key_of_group is not null
  and steps_of_event > 0;

-- name: ordered()
-- The events of each group in the order in which they count: by time, then by the last and the first step that they are
-- of, then by source and id, so that whole seconds make no misses and files in another order no other answer.
create or replace temp table ordered as
select
  row_number() over () as r,
  g,
  t,
  steps
from (
  select
    groups.g,
    matching.t,
    matching.steps
  from matching
  join groups on matching.group_key = groups.group_key
  order by
    groups.g,
    matching.t,
    length(bin(matching.steps)),
    length(bin(matching.steps & -matching.steps)),
    matching.source,
    matching.event_id
);

-- name: chains($step_counts, $step_windows)
-- For each step and each event that can end it: where the chain up to it begins at the latest (`latest`), where its own
-- events begin (`opens`), and which event ends the step before (`via`), all as places in the order. A step takes as many
-- events as $step_counts says, the last of them; they lie within $step_windows, if that is not null.
create or replace temp table chains as
with recursive chain as (
  select
    cast(0 as bigint) as step,
    g,
    r,
    t,
    steps,
    r as latest,
    r as opens,
    r as via
  from ordered
  union all
  select
    step + 1 as step,
    g,
    r,
    t,
    steps,
    case
      when in_step and t - opens_at < coalesce($step_windows[step + 1], 9223372036854775807) then reached
    end as latest,
    opens,
    reached_via as via
  from (
    select
      *,
      lag(r, cast($step_counts[step + 1] - 1 as bigint)) over same_step as opens,
      lag(t, cast($step_counts[step + 1] - 1 as bigint)) over same_step as opens_at,
      lag(reach, cast($step_counts[step + 1] - 1 as bigint)) over same_step as reached,
      lag(reach_via, cast($step_counts[step + 1] - 1 as bigint)) over same_step as reached_via
    from (
      select
        step,
        g,
        r,
        t,
        steps,
        (steps >> step) & 1 = 1 as in_step,
        case when step = 0 then r else max(latest) over before end as reach,
        case when step > 0 then max(case when latest is not null then r end) over before end as reach_via
      from chain
      where step < len($step_counts)
      window before as (partition by g order by r rows between unbounded preceding and 1 preceding)
    )
    window same_step as (partition by g, in_step order by r)
  )
)

select
  step,
  g,
  r,
  t,
  latest,
  opens,
  via
from chain
where step > 0
  and latest is not null;

-- name: completed($window_us, $step_counts)
-- The events that complete a chain which lies in one window, and when that no longer does: when the event that it begins
-- with is one window old.
create or replace temp table completed as
select
  chains.g,
  chains.r,
  chains.t,
  chains.latest,
  opening.t + $window_us as ends
from chains
join ordered as opening on chains.latest = opening.r
where chains.step = len($step_counts)
  and chains.t < opening.t + $window_us;

-- name: unstopped($step_counts)
-- Those whose chain has no event of `until` between its first and its last event.
create or replace temp table completed as
select completed.*
from completed
join (
  select
    r,
    max(case when (steps >> len($step_counts)) & 1 = 1 then r end) over (
      partition by g order by r rows between unbounded preceding and 1 preceding
    ) as stopped
  from ordered
) as stops on completed.r = stops.r
where coalesce(stops.stopped, 0) <= completed.latest;

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
-- first and its last event. And how many events of its group complete a chain in the period.
-- returns: group_key, start, step, first, last, completions
with recursive begun as (
  select
    starts // $span_us as g,
    greatest(epoch_us($origin) + starts % $span_us, epoch_us($since)) as starts_at
  from episodes
),

completions as (
  select
    begun.g,
    begun.starts_at,
    max(completed.r) filter (completed.t <= begun.starts_at and completed.ends > begun.starts_at) as r,
    count(*) filter (completed.t > epoch_us($since) and completed.t <= epoch_us($until)) as events
  from begun
  join completed on begun.g = completed.g
  group by begun.g, begun.starts_at
),

links as (
  select
    g,
    starts_at,
    events,
    cast(len($step_counts) as bigint) as step,
    r
  from completions
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
)

select
  groups.group_key,
  make_timestamptz(cast(links.starts_at as bigint)) as "start",
  links.step,
  make_timestamptz(opening.t) as "first",
  make_timestamptz(chains.t) as "last",
  links.events as completions
from links
join chains on links.step = chains.step and links.r = chains.r
join ordered as opening on chains.opens = opening.r
join groups on links.g = groups.g
order by "start", groups.group_key, links.step;
