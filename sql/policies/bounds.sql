-- name: summed($types, $slice_us)
-- Counts first, step 1 for a policy without group_by and without a condition: the table minutes, a summary of data files,
-- put together by slice of time. $slice_us divides the window and the day.
create or replace temp table summed as
select
  0 as g,
  "minute" * 60000000 // $slice_us * $slice_us as slice,
  sum(events) as events,
  min(first_event) as first_t
from minutes
where list_contains($types, event_type)
group by slice;

-- name: groups()
-- The one group there is.
create or replace temp table groups as
select
  0 as g,
  cast([] as varchar[]) as group_key;

-- name: counts($types, $slices_cut, $slice_us, $look_back_us, $since_us, $until_us, $window_us)
-- Step 2: how many events each slice has, and when the first of them is. A slice in which the period or a window begins
-- or ends is counted by its rows, each side of that instant by itself; `events` are those of its day.
create or replace temp table counts as
select g, slice, cast(events as bigint) as events, first_t
from summed
where not list_contains($slices_cut, slice)
  and first_t > $look_back_us
  and first_t <= $until_us
union all
select
  groups.g,
  cut.slice,
  count(*) as events,
  min(cut.t) as first_t
from (
  select
    key_of_group as group_key,
    epoch_us("timestamp") as t,
    t - t % $slice_us as slice
  from events
  where list_contains($types, event_type)
    and list_contains($slices_cut, slice)
    and coalesce(try(predicate), false)
) as cut
join groups on cut.group_key = groups.group_key
where cut.t > $look_back_us
  and cut.t <= $until_us
group by groups.g, cut.slice, cut.t > $since_us, cut.t + $window_us > $until_us;

-- name: counted()
-- returns: events, slices
select
  cast(coalesce(sum(events), 0) as bigint) as events,
  count(*) as slices
from counts;

-- name: turns($since_us, $until_us, $window_us)
-- Step 3: what rises and what falls in each slice after $since, and when the first of it does.
create or replace temp table turns as
select
  g,
  slice,
  cast(sum(rises) as bigint) as rises,
  cast(sum(falls) as bigint) as falls,
  min(first_at) as first_at
from (
  select g, slice, events as rises, 0 as falls, first_t as first_at
  from counts
  where first_t > $since_us
  union all
  select g, slice + $window_us as slice, 0 as rises, events as falls, first_t + $window_us as first_at
  from counts
  where first_t + $window_us <= $until_us
)
group by g, slice;

-- name: bounds($since_us)
-- Step 4: what is carried into each slice: what counts at $since, and a sum over slices instead of events.
create or replace temp table bounds as
with counting as (
  select g, sum(events) as events
  from counts
  where first_t <= $since_us
  group by g
)

select
  turns.g,
  turns.slice,
  turns.rises,
  turns.falls,
  cast(
    coalesce(counting.events, 0) + coalesce(
      sum(turns.rises - turns.falls) over (
        partition by turns.g order by turns.slice rows between unbounded preceding and 1 preceding
      ),
      0
    ) as bigint
  ) as carried
from turns
left join counting on turns.g = counting.g;

-- name: beginnings($since_us, $until_us)
-- Step 5: the count just before each UTC day of the period; $since in the place of the first midnight.
create or replace temp table beginnings as
with nets as (
  select g, slice // 86400000000 as day, sum(rises - falls) as net
  from turns
  group by g, day
  union all
  select g, ($since_us + 1) // 86400000000 - 1 as day, sum(events) as net
  from counts
  where first_t <= $since_us
  group by g
),

carried as (
  select
    g,
    day,
    sum(net) over (partition by g order by day) as level,
    lead(day, 1, $until_us // 86400000000) over (partition by g order by day) as next_day
  from nets
)

select
  g,
  unnest(range(cast(day + 1 as bigint), cast(next_day + 1 as bigint))) as day,
  cast(level as bigint) as level
from carried
where level > 0;

-- name: kept($alert_threshold)
-- Step 6: the slices in which an episode can begin or end, or in which the peak of one on a day can lie, or that of the
-- day. Within a slice the count lies between what is carried less all that falls and what is carried with all that rises;
-- after it, it is known. What the other slices hold is never looked at. Slices that are high all through and follow each
-- other on a day are certainly of one episode, of one `run`.
create or replace temp table kept as
with judged as (
  select
    g,
    slice,
    slice // 86400000000 as day,
    carried,
    carried + rises as most,
    carried + rises - falls as after,
    carried - falls >= $alert_threshold as is_high
  from bounds
),

days as (
  select day, max(after) as reached
  from judged
  group by day
),

numbered as (
  select
    *,
    count(case when not is_high then 1 end) over (partition by g, day order by slice rows unbounded preceding) as run
  from judged
  -- Where nothing is high there are no runs.
  where g in (select g from judged where is_high)
),

runs as (
  select g, day, run, max(after) as reached
  from numbered
  where is_high
  group by g, day, run
)

select judged.g, judged.slice, judged.carried
from judged
join days on judged.day = days.day
where judged.most >= days.reached
  or (judged.most >= $alert_threshold and not judged.is_high)
union
select numbered.g, numbered.slice, numbered.carried
from numbered
join runs
  on numbered.g = runs.g
    and numbered.day = runs.day
    and numbered.run = runs.run
where numbered.is_high
  and numbered.most >= runs.reached;

-- name: looked_at($window_us)
-- The slices whose rows matter: what is kept, and what falls there, one window earlier.
create or replace temp table looked_at as
select g, slice
from kept
union
select g, slice - $window_us as slice
from kept;

-- name: to_look_at()
-- How many events lie in these slices.
-- returns: events
select cast(coalesce(sum(counts.events), 0) as bigint) as events
from counts
join looked_at
  on counts.g = looked_at.g
    and counts.slice = looked_at.slice;

-- name: days_looked_at()
-- returns: day
select distinct slice // 86400000000 as day
from looked_at
order by day;

-- name: near($types, $slice_us, $look_back, $until)
-- Step 7: the events that matter, by group. Only these rows are read.
create or replace temp table near as
select
  looked_at.g,
  read.t
from (
  select
    key_of_group as group_key,
    epoch_us("timestamp") as t
  from events
  where list_contains($types, event_type)
    and "timestamp" > $look_back
    and "timestamp" <= $until
    and epoch_us("timestamp") - epoch_us("timestamp") % $slice_us in (select slice from looked_at)
    and coalesce(try(predicate), false)
) as read
join groups on read.group_key = groups.group_key
join looked_at
  on groups.g = looked_at.g
    and read.t - read.t % $slice_us = looked_at.slice;

-- name: levels($since_us, $until_us, $window_us, $slice_us)
-- Step 8: the count after each instant of the kept slices, and before it: judged once all that happens in it has
-- happened.
create or replace temp table levels as
with changes as (
  select
    kept.g,
    kept.slice,
    kept.carried,
    moved.moment,
    sum(moved.change) as change
  from (
    select g, t as moment, 1 as change
    from near
    where t > $since_us
    union all
    select g, t + $window_us as moment, -1 as change
    from near
    where t + $window_us <= $until_us
  ) as moved
  join kept
    on moved.g = kept.g
      and moved.moment - moved.moment % $slice_us = kept.slice
  group by kept.g, kept.slice, kept.carried, moved.moment
)

select
  g,
  slice,
  moment,
  cast(
    carried + sum(change) over (partition by g, slice order by moment rows unbounded preceding) as bigint
  ) as level,
  cast(level - change as bigint) as before
from changes;

-- name: stretches($since_us, $alert_threshold)
-- Step 9: the stretches at or above the threshold within a slice; number 0 goes on with one of an earlier slice. What is
-- high just before a day comes ahead of its slices.
create or replace temp table stretches as
select
  g,
  slice // 86400000000 as day,
  slice,
  number,
  min(moment) filter (before < $alert_threshold) as starts_at,
  max(moment) filter (level < $alert_threshold) as ends_at,
  max(level) filter (level >= $alert_threshold) as peak,
  arg_max(moment, level::hugeint * 18446744073709551616 - moment) filter (level >= $alert_threshold) as peak_at
from (
  select
    *,
    count(case when before < $alert_threshold then 1 end) over (
      partition by g, slice order by moment rows unbounded preceding
    ) as number
  from levels
  where level >= $alert_threshold
    or before >= $alert_threshold
)
group by g, slice, number
union all
select
  g,
  day,
  -1 as slice,
  1 as number,
  greatest($since_us, day * 86400000000 - 1) as starts_at,
  null as ends_at,
  level as peak,
  starts_at as peak_at
from beginnings
where level >= $alert_threshold;

-- name: pieces()
-- The pieces of episodes on each UTC day, as by_day.sql has them.
create or replace temp table pieces as
select
  g,
  day,
  cast(min(starts_at) as bigint) as starts_at,
  cast(max(ends_at) as bigint) as ends_at,
  bool_or(slice = -1) as is_carried,
  max(peak) as measure,
  cast(arg_max(peak_at, peak::hugeint * 18446744073709551616 - peak_at) as bigint) as peaks_at,
  measure as total,
  1 as parts
from (
  select
    *,
    count(case when number > 0 then 1 end) over (
      partition by g, day order by slice, number rows unbounded preceding
    ) as episode
  from stretches
)
group by g, day, episode;

-- name: daily_peaks($since_us, $until_us)
-- The peak of each UTC day of the period: what is known after slices, what was counted in kept ones, and what is carried
-- over a midnight at which nothing changes.
-- returns: day (days since 1970), peak
with days as (
  select unnest(range(($since_us + 1) // 86400000000, $until_us // 86400000000 + 1)) as day
),

first_turns as (
  select g, slice // 86400000000 as day, min(first_at) as first_at
  from turns
  group by g, day
),

reached as (
  select slice // 86400000000 as day, max(carried + rises - falls) as peak
  from bounds
  group by day
  union all
  select slice // 86400000000 as day, max(level) as peak
  from levels
  group by slice // 86400000000
  union all
  select beginnings.day, max(beginnings.level) as peak
  from beginnings
  left join first_turns
    on beginnings.g = first_turns.g
      and beginnings.day = first_turns.day
  where coalesce(first_turns.first_at > beginnings.day * 86400000000, true)
    or $since_us >= beginnings.day * 86400000000
  group by beginnings.day
)

select
  days.day,
  cast(coalesce(max(reached.peak), 0) as bigint) as peak
from days
left join reached on days.day = reached.day
group by days.day
order by days.day;

-- name: events_by_day($slices_cut, $since_us, $until_us)
-- The events of each type on each UTC day, as the statement of this name in by_day.sql gives them: from the table minutes,
-- and from the rows of the minutes that the period cuts.
-- returns: day, event_type, events, received, first, last
with counted as (
  select event_type, source, events, first_event, last_event
  from minutes
  where not list_contains($slices_cut, "minute" * 60000000)
    and first_event > $since_us
    and first_event <= $until_us
  union all
  select
    event_type,
    source,
    count(*) as events,
    min(epoch_us("timestamp")) as first_event,
    max(epoch_us("timestamp")) as last_event
  from events
  where list_contains($slices_cut, epoch_us("timestamp") // 60000000 * 60000000)
    and epoch_us("timestamp") > $since_us
    and epoch_us("timestamp") <= $until_us
  group by event_type, source, epoch_us("timestamp") // 60000000
)

select
  first_event // 86400000000 as day,
  event_type,
  cast(sum(events) as bigint) as events,
  cast(coalesce(sum(events) filter (source <> 'auditlake.self'), 0) as bigint) as received,
  min(first_event) as first,
  max(last_event) as last
from counted
group by day, event_type
order by day, event_type;
