-- name: matching($types, $look_back, $until, $largest)
-- The measures sum and average: the matching events that are in a group and bring a number, in millionths: whole numbers
-- of 128 bits, so that a sum is exact and has room. The slots are those of arrivals_by_group.sql, and `number_of_event`:
-- the number as DECIMAL(38, 6), null where it cannot be read as one. Above $largest it is none.
create or replace temp table matching as
select
  group_key,
  cast(number * 1000000 as hugeint) as value,
  t
from (
  -- Unnested, since what a condition reads would be evaluated once more for it.
  select
    key_of_group as group_key,
    unnest([number_of_event]) as number,
    epoch_us("timestamp") as t
  from events
  where list_position($types, event_type) > 0
    and "timestamp" > $look_back
    and "timestamp" <= $until
    and coalesce(try(predicate), false)
    and key_of_group is not null
)
where abs(number) <= $largest;

-- name: movements($window_us)
-- What comes into the windows of groups and what leaves them, in order.
create or replace temp table movements as
select
  groups.g,
  unnest([matching.t, matching.t + $window_us]) as t,
  unnest([matching.value, -matching.value]) as value,
  unnest([1, -1]) as numbers
from matching
join groups on matching.group_key = groups.group_key
order by groups.g, t;

-- name: levels($since, $until, $is_average)
-- From when to when a group's window has the same total of so many numbers, as far as it lies in the period. What comes
-- and goes at one instant is one change, and what a group has brought is gone where the next one begins. The measure is
-- total / parts; of a sum parts is 1. It is shown in whole millionths, rounded half away from zero; where no number is
-- left there is no row.
create or replace temp table levels as
with running as (
  select
    g,
    t,
    lead(g) over () as g_after,
    lead(t) over () as ends,
    sum(value) over (rows unbounded preceding) as total,
    cast(sum(numbers) over (rows unbounded preceding) as bigint) as numbers
  from movements
),

measured as (
  select
    g,
    greatest(t, epoch_us($since)) as t,
    ends,
    total,
    numbers,
    case when $is_average then numbers else 1 end as parts
  from running
  where numbers > 0
    and (ends <> t or g_after <> g)
    and ends > epoch_us($since)
    and t <= epoch_us($until)
)

select
  *,
  case
    when parts = 1 then total
    else total // parts + case when 2 * abs(total % parts) >= parts then sign(total) else 0 end
  end as measure
from measured;

-- name: current_counts($as_of, $least)
-- The groups at or above the threshold at as_of itself; $least is the threshold in millionths.
-- returns: group_key, measure
select
  groups.group_key,
  levels.measure
from levels
join groups on levels.g = groups.g
where levels.t <= epoch_us($as_of)
  and levels.ends > epoch_us($as_of)
  and levels.total >= $least * levels.parts
order by levels.measure desc, groups.group_key;

-- name: episodes($least)
-- The maximal stretches at or above the threshold. The peak is the largest measure and the first of equals: compared by
-- its whole millionths, then by the rest of the division in parts that tell any two averages of a thousand million
-- numbers apart.
create or replace temp table episodes as
with high as (
  select
    *,
    sum(is_first) over (partition by g order by t) as run
  from (
    select
      *,
      case when lag(ends) over (partition by g order by t) is distinct from t then 1 else 0 end as is_first
    from levels
    where total >= $least * parts
  )
),

runs as (
  select
    *,
    min(t) over run_of_group as starts_at,
    max(ends) over run_of_group as ends_at,
    row_number() over (
      partition by g, run
      order by total // parts desc, (total % parts) * 100000000000000000000 // parts desc, t
    ) as place
  from high
  window run_of_group as (partition by g, run)
)

select
  g,
  starts_at,
  ends_at,
  measure as peak,
  t as peaks_at,
  numbers
from runs
where place = 1;

-- name: rolling_counts($since, $until)
-- The episodes of the period (since, until], clipped to it.
-- returns: group_key, start, end, ongoing, started_before_period, peak (in millionths), peak_at
select
  groups.group_key,
  make_timestamptz(episodes.starts_at) as "start",
  case when episodes.ends_at <= epoch_us($until) then make_timestamptz(episodes.ends_at) end as "end",
  episodes.ends_at > epoch_us($until) as ongoing,
  episodes.starts_at <= epoch_us($since) as started_before_period,
  episodes.peak,
  make_timestamptz(episodes.peaks_at) as peak_at
from episodes
join groups on episodes.g = groups.g
order by "start", groups.group_key;

-- name: daily_peaks($since, $until, $is_average)
-- For each UTC day with an instant in (since, until]: the largest measure of any group at any moment of it, in millionths.
-- What is carried over midnight counts. A sum is 0 where nothing is, so a day's is at least that; an average is not there.
-- returns: day (days since 1970), peak
with at_changes as (
  select t // 86400000000 as day, max(measure) as peak
  from levels
  group by day
),

spans as (
  select
    (t + 86399999999) // 86400000000 as first_day,
    (least(ends, epoch_us($until) + 1) + 86399999999) // 86400000000 as end_day,
    max(measure) as peak
  from levels
  group by first_day, end_day
  having first_day < end_day
),

at_midnights as (
  select day, max(peak) as peak
  from (
    select peak, unnest(range(first_day, end_day)) as day
    from spans
  )
  group by day
),

days as (
  select unnest(range((epoch_us($since) + 1) // 86400000000, epoch_us($until) // 86400000000 + 1)) as day
)

select
  days.day,
  greatest(at_changes.peak, at_midnights.peak, case when $is_average then null else 0 end) as peak
from days
left join at_changes on days.day = at_changes.day
left join at_midnights on days.day = at_midnights.day
order by days.day;

-- name: evidence()
-- How many numbers the window of the peak has.
-- returns: group_key, start, numbers
select
  groups.group_key,
  make_timestamptz(episodes.starts_at) as "start",
  episodes.numbers
from episodes
join groups on episodes.g = groups.g
order by "start", groups.group_key;

-- name: shown($shown, $window_us)
-- For the page: the first episodes, with the window of the peak; samples.sql takes it from here.
create or replace temp table shown as
select
  row_number() over (order by episodes.starts_at, groups.group_key) as episode,
  groups.group_key,
  episodes.starts_at as starts,
  episodes.peaks_at - $window_us + 1 as from_t,
  episodes.peaks_at as peak_at
from episodes
join groups on episodes.g = groups.g
order by episode
limit $shown;

-- name: backtest($thresholds)
-- How many episodes each of $thresholds would have given: a level begins one where it is at the threshold, and the level
-- right before it in its group is not, or none is.
-- returns: threshold, episodes
with wanted as (
  select distinct unnest($thresholds) as threshold
),

steps as (
  select
    total,
    parts,
    case when lag(ends) over by_group = t then lag(total) over by_group end as total_before,
    lag(parts) over by_group as parts_before
  from levels
  window by_group as (partition by g order by t)
)

select
  wanted.threshold,
  count(steps.total) as episodes
from wanted
left join steps
  on steps.total >= wanted.threshold::hugeint * 1000000 * steps.parts
    and (
      steps.total_before is null
      or steps.total_before < wanted.threshold::hugeint * 1000000 * steps.parts_before
    )
group by wanted.threshold
order by wanted.threshold;

-- name: pieces($since, $until, $least)
-- The episodes cut at midnights, as by_day.sql cuts those of counts: of each piece its peak, which is total / parts.
create or replace temp table pieces as
with high as (
  select
    *,
    sum(is_first) over (partition by g order by t) as run
  from (
    select
      *,
      case when lag(ends) over (partition by g order by t) is distinct from t then 1 else 0 end as is_first
    from levels
    where total >= $least * parts
  )
),

-- The days that a level has an instant in; the last instant before a day is one of it too.
cut as (
  select
    *,
    greatest(epoch_us($since), day * 86400000000 - 1) as since_day,
    least(epoch_us($until), day * 86400000000 + 86399999999) as until_day
  from (
    select
      *,
      min(t) over run_of_group as starts_at,
      max(ends) over run_of_group as ends_at,
      unnest(
        range(
          greatest(t, epoch_us($since) + 1) // 86400000000,
          least(ends, epoch_us($until)) // 86400000000 + 1
        )
      ) as day
    from high
    window run_of_group as (partition by g, run)
  )
),

placed as (
  select
    *,
    row_number() over (
      partition by g, run, day
      order by total // parts desc, (total % parts) * 100000000000000000000 // parts desc, t
    ) as place
  from cut
)

select
  day,
  g,
  greatest(starts_at, since_day) as starts_at,
  case when ends_at <= until_day then ends_at end as ends_at,
  starts_at <= since_day as is_carried,
  measure,
  greatest(t, since_day) as peaks_at,
  total,
  parts,
  numbers
from placed
where place = 1;

-- name: carried()
-- For the statement that finds what is behind episodes: the pieces that are carried over in the place of the episodes.
create or replace temp table episodes as
select g, starts_at, numbers
from pieces
where is_carried;

-- name: begun()
-- The same of the pieces that begin on their day.
create or replace temp table episodes as
select g, starts_at, numbers
from pieces
where not is_carried;
