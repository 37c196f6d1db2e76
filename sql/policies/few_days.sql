-- name: kept_events($types, $columns)
-- Where a stretch of days has few events: the governed ones are read once and kept, with the columns that any statement
-- reads.
create or replace temp table kept_events as
select columns(lambda name: list_contains($columns, name))
from events
where list_contains($types, event_type);

-- name: events_kept()
-- What was kept, by the name that statements read.
create or replace temp view events as
select * from kept_events;

-- name: arrivals_of_all()
-- A table for the governed events of several policies: whether each meets the policy's condition, its group, and for how
-- long it counts.
create or replace temp table arrivals_of_all as
select
  cast(0 as bigint) as p,
  cast(null as varchar[]) as group_key,
  cast(null as integer) as verdict,
  cast(0 as bigint) as rise,
  cast(0 as bigint) as fall
limit 0;

-- name: arrivals_of_policy($number, $types, $look_back, $until, $window_us)
-- The events of one of them, which has a number, by the rules of arrivals_by_group.sql. The slot `keys_of_group` is the
-- group as a list, null where an event is in none. The verdict is 1 for a match, 0 for none, 2 for unknown, null for an
-- error.
insert into arrivals_of_all
select
  p,
  keys,
  verdict,
  t,
  t + $window_us
from (
  select
    $number as p,
    keys_of_group as keys,
    try(coalesce(cast(predicate as integer), 2)) as verdict,
    epoch_us("timestamp") as t
  from events
  where list_position($types, event_type) > 0
    and "timestamp" > $look_back
    and "timestamp" <= $until
);

-- name: groups_of_all()
-- The groups of all of them in one row of numbers: those of the policy n begin at n << 32.
create or replace temp table groups as
select
  (p << 32) + row_number() over () - 1 as g,
  group_key
from (
  select distinct p, group_key
  from arrivals_of_all
  where verdict = 1
    and group_key is not null
);

-- name: spans_of_all()
-- When the events that count begin to do so, and no longer do.
create or replace temp table spans as
select
  groups.g,
  arrivals_of_all.rise,
  arrivals_of_all.fall
from arrivals_of_all
join groups
  on arrivals_of_all.p = groups.g >> 32
    and arrivals_of_all.group_key = groups.group_key
where arrivals_of_all.verdict = 1;

-- name: totals_of_all($since, $until)
-- For each policy what totals_by_day of by_day.sql counts.
-- returns: p, day, events, matching_events, ungrouped_events, where_errors, valueless_events
select
  p,
  rise // 86400000000 as day,
  count(*) as events,
  count(*) filter (verdict = 1) as matching_events,
  count(*) filter (verdict = 1 and group_key is null) as ungrouped_events,
  count(*) filter (verdict is null) as where_errors,
  0 as valueless_events
from arrivals_of_all
where rise > epoch_us($since)
  and rise <= epoch_us($until)
group by p, day
order by p, day;

-- name: levels($since, $until)
-- The measure of each group after each moment of [since, until] at which it changes, from the table spans(g, rise, fall).
-- It is told at each midnight too, and 1 µs before one, where one day's report ends and the next one's begins.
create or replace temp table levels as
with changes as (
  select g, greatest(rise, epoch_us($since)) as moment, 1 as change
  from spans
  where rise <= epoch_us($until)
  union all
  select g, greatest(fall, epoch_us($since)) as moment, -1 as change
  from spans
  where fall <= epoch_us($until)
  union all
  select g, moment, 0 as change
  from (
    select distinct g
    from spans
  )
  cross join (
    select unnest([midnight - 1, midnight]) as moment
    from range(
      (epoch_us($since) + 1) // 86400000000 * 86400000000, epoch_us($until) + 2, 86400000000
    ) as midnights (midnight)
  )
  where moment >= epoch_us($since)
    and moment <= epoch_us($until)
)

select
  g,
  moment,
  cast(sum(sum(change)) over (partition by g order by moment) as bigint) as measure
from changes
group by g, moment;

-- name: pieces($since, $until, $thresholds)
-- The pieces of by_day.sql: for each day, the stretches in which a group is at its threshold or above. The last instant
-- before a day belongs to it as well. The thresholds are those of the policies, by their numbers.
create or replace temp table pieces as
with told as (
  select g, moment, measure, moment // 86400000000 as day
  from levels
  where moment // 86400000000 >= (epoch_us($since) + 1) // 86400000000
  union all
  select g, moment, measure, (moment + 1) // 86400000000 as day
  from levels
  where (moment + 1) % 86400000000 = 0
    and moment < epoch_us($until)
),

judged as (
  select
    *,
    measure >= $thresholds[(g >> 32) + 1] as is_high,
    greatest(epoch_us($since), day * 86400000000 - 1) as since_day,
    lag(measure >= $thresholds[(g >> 32) + 1], 1, false) over own_day as was_high,
    lead(moment) over own_day as next_at
  from told
  window own_day as (partition by g, day order by moment)
),

numbered as (
  select
    *,
    count(case when is_high and not was_high then 1 end) over (partition by g, day order by moment) as piece
  from judged
)

select
  day,
  g,
  min(moment) as starts_at,
  case when bool_and(next_at is not null) then max(next_at) end as ends_at,
  min(moment) = min(since_day) as is_carried,
  max(measure) as measure,
  arg_max(moment, measure::hugeint * 18446744073709551616 - moment) as peaks_at,
  max(measure) as total,
  1 as parts
from numbered
where is_high
group by g, day, piece;

-- name: pieces_of_all()
-- The pieces with the numbers of their policies, as episodes_by_day of by_day.sql has them.
-- returns: p, day, group_key, start, end, is_carried, peak, peak_at, total, parts
select
  pieces.g >> 32 as p,
  pieces.day,
  groups.group_key,
  pieces.starts_at,
  pieces.ends_at,
  pieces.is_carried,
  cast(pieces.measure as varchar) as peak,
  pieces.peaks_at,
  cast(pieces.total as varchar) as total,
  pieces.parts
from pieces
join groups on pieces.g = groups.g
order by p, pieces.day, groups.group_key, pieces.starts_at;

-- name: peaks_of_all($since, $until, $thresholds)
-- For each policy and UTC day: the largest measure of any group at any moment of it.
-- returns: p, day, peak
select
  asked.p,
  asked.day,
  coalesce(highest.peak, 0) as peak
from (
  select
    unnest(range(len($thresholds))) as p,
    day
  from range((epoch_us($since) + 1) // 86400000000, epoch_us($until) // 86400000000 + 1) as days (day)
) as asked
left join (
  select
    g >> 32 as p,
    moment // 86400000000 as day,
    max(measure) as peak
  from levels
  group by all
) as highest on asked.p = highest.p and asked.day = highest.day
order by asked.p, asked.day;

-- name: daily_peaks($since, $until)
-- The same where there is one policy.
-- returns: day, peak
select
  days.day,
  coalesce(max(levels.measure), 0) as peak
from range((epoch_us($since) + 1) // 86400000000, epoch_us($until) // 86400000000 + 1) as days (day)
left join levels on days.day = levels.moment // 86400000000
group by days.day
order by days.day;
