-- name: matching($types, $history_start, $until, $zero, $bucket_us)
-- The measure baseline: the matching events that are in a group, each with its bucket, counted from the instant $zero,
-- which lies before 1970. The slots are those of arrivals_by_group.sql.
create or replace temp table matching as
select
  key_of_group as group_key,
  epoch_us("timestamp") as t,
  (epoch_us("timestamp") - $zero) // $bucket_us as h
from events
where list_position($types, event_type) > 0
  and "timestamp" > $history_start
  and "timestamp" <= $until
  and coalesce(try(predicate), false)
  and key_of_group is not null;

-- name: counts()
-- How many events there are in each bucket.
create or replace temp table counts as
select
  groups.g,
  matching.h,
  count(*) as x
from matching
join groups on matching.group_key = groups.group_key
group by groups.g, matching.h;

-- name: candidates($first, $last, $seasons, $season, $alert_threshold, $is_below)
-- The buckets from $first to $last that may be unusual, with the bucket of their group's earliest event in the seasons
-- before, null where there is none. Above they have as many events as the threshold; below one of their past has, since
-- what is usual has to.
create or replace temp table candidates as
with asked as materialized (
  select
    g,
    h,
    x,
    h - $season * ($seasons + 1) as reach
  from counts
  where not $is_below
    and x >= $alert_threshold
    and h between $first and $last
  union all
  select
    later.g,
    later.h,
    coalesce(counts.x, 0) as x,
    later.h - $season * ($seasons + 1) as reach
  from (
    select distinct
      g,
      h + $season * number as h
    from counts
    cross join range(1, $seasons + 1) as seasons(number)
    where $is_below
      and x >= $alert_threshold
      and h + $season * number between $first and $last
  ) as later
  left join counts on later.g = counts.g and later.h = counts.h
)

-- Most groups have no candidate: their counts need not be sorted.
select
  asked.g,
  asked.h,
  asked.x,
  case when earliest.h < asked.h then earliest.h end as earliest
from asked
asof left join (
  select
    g,
    h
  from counts
  where g in (
    select g
    from asked
  )
) as earliest on asked.g = earliest.g and asked.reach <= earliest.h;

-- name: unusual($seasons, $season, $at_least, $hundredths, $alert_threshold, $is_below)
-- The buckets that are high or low: past holds the counts of the same bucket of the seasons before, the newest first,
-- usual is their lower median, and bound what a threshold is held against. The ratio is in hundredths, and exact.
create or replace temp table unusual as
select
  g,
  h,
  x,
  usual,
  case
    when $is_below then (usual * 100 + $hundredths - 1) // $hundredths - 1
    else greatest($alert_threshold, $hundredths * usual // 100 + 1)
  end as most,
  past,
  case when $is_below then usual else x end as bound
from (
  select
    g,
    h,
    x,
    past,
    list_sort(past)[(len(past) + 1) // 2] as usual
  from (
    select
      candidates.g,
      candidates.h,
      candidates.x,
      list(coalesce(counts.x, 0) order by number) as past
    from candidates
    cross join range(1, $seasons + 1) as seasons(number)
    left join counts on candidates.g = counts.g and candidates.h - $season * number = counts.h
    where candidates.h - $season * number >= candidates.earliest
    group by candidates.g, candidates.h, candidates.x
  )
  where len(past) >= $at_least
)
where case
    when $is_below then usual >= $alert_threshold and x * $hundredths < usual * 100
    else x * 100 > $hundredths * usual
  end;

-- name: current_counts($as_of, $zero, $bucket_us, $is_below)
-- The groups whose bucket of as_of is high; a low one is over by then.
-- returns: group_key, measure
select
  groups.group_key,
  unusual.x as measure
from unusual
join groups on unusual.g = groups.g
where unusual.h = (epoch_us($as_of) - $zero) // $bucket_us
  and not $is_below
order by measure desc, groups.group_key;

-- name: episodes($since, $zero, $bucket_us, $is_below)
-- The runs of neighbouring unusual buckets that reach into the period. A high one begins with the event that is one too
-- many, a low one at its beginning. The peak is taken of the buckets in the period.
create or replace temp table episodes as
with times as (
  select
    unusual.*,
    $zero + unusual.h * $bucket_us as begins,
    case when $is_below then $zero + unusual.h * $bucket_us else list_sort(found.times)[unusual.most] end as turns,
    case when $is_below then $zero + unusual.h * $bucket_us else list_max(found.times) end as reached
  from unusual
  left join (
    select
      unusual.g,
      unusual.h,
      list(matching.t) as times
    from unusual
    join groups on unusual.g = groups.g
    join matching on groups.group_key = matching.group_key and unusual.h = matching.h
    group by unusual.g, unusual.h
  ) as found on unusual.g = found.g and unusual.h = found.h
),

runs as (
  select
    *,
    h - row_number() over (partition by g order by h) as run
  from times
),

placed as (
  select
    *,
    first_value(turns) over (partition by g, run order by h) as turns_first,
    max(begins + $bucket_us) over (partition by g, run) as ends_at,
    row_number() over (
      partition by g, run
      order by begins + $bucket_us <= epoch_us($since), case when $is_below then x else -x end, h
    ) as place
  from runs
)

select
  g,
  turns_first as starts_at,
  ends_at,
  x as peak,
  greatest(reached, turns_first, epoch_us($since)) as peaks_at,
  begins as peak_begins,
  usual,
  most,
  past
from placed
where place = 1
  and ends_at > epoch_us($since);

-- name: rolling_counts($since, $until)
-- The episodes of the period (since, until], clipped to it.
-- returns: group_key, start, end, ongoing, started_before_period, peak, peak_at
select
  groups.group_key,
  make_timestamptz(greatest(episodes.starts_at, epoch_us($since))) as "start",
  case when episodes.ends_at <= epoch_us($until) then make_timestamptz(episodes.ends_at) end as "end",
  episodes.ends_at > epoch_us($until) as ongoing,
  episodes.starts_at <= epoch_us($since) as started_before_period,
  episodes.peak,
  make_timestamptz(episodes.peaks_at) as peak_at
from episodes
join groups on episodes.g = groups.g
order by "start", groups.group_key;

-- name: daily_peaks($since, $until, $zero, $bucket_us)
-- For each UTC day with an instant in (since, until]: how many events a bucket of any group had at any moment of it. In a
-- bucket the number only grows: where it lies in one day it is the whole number, else what an event makes it holds on
-- every later day that the bucket has.
-- returns: day (days since 1970), peak
with whole as (
  select
    ($zero + h * $bucket_us) // 86400000000 as day,
    max(x) as events
  from counts
  where $zero + (h + 1) * $bucket_us > epoch_us($since)
    and ($zero + h * $bucket_us) // 86400000000 = ($zero + (h + 1) * $bucket_us - 1) // 86400000000
  group by day
),

grown as (
  select
    greatest(t, epoch_us($since)) // 86400000000 as first_day,
    (least($zero + (h + 1) * $bucket_us, epoch_us($until) + 1) - 1) // 86400000000 as last_day,
    row_number() over (partition by group_key, h order by t) as events
  from matching
  where $zero + (h + 1) * $bucket_us > epoch_us($since)
    and ($zero + h * $bucket_us) // 86400000000 < ($zero + (h + 1) * $bucket_us - 1) // 86400000000
),

peaks as (
  select day, max(events) as peak
  from (
    select
      max(events) as events,
      unnest(range(first_day, last_day + 1)) as day
    from grown
    group by first_day, last_day
    union all
    select
      events,
      day
    from whole
  )
  group by day
),

days as (
  select unnest(range((epoch_us($since) + 1) // 86400000000, epoch_us($until) // 86400000000 + 1)) as day
)

select
  days.day,
  coalesce(peaks.peak, 0) as peak
from days
left join peaks on days.day = peaks.day
order by days.day;

-- name: unjudged($since, $first, $last, $seasons, $season, $at_least, $zero, $bucket_us, $is_below)
-- How many buckets of the period have too little past. Above they are candidates. Below they are all that have an event
-- in the seasons before: of the buckets whose earliest such event is the one at h, those less than $at_least seasons
-- later, which are counted without being made.
-- returns: buckets
select
  cast(case when $is_below then (
    select coalesce(sum(greatest(last_h - first_h + 1, 0)), 0)
    from (
      select
        greatest(
          h + 1,
          lag(h) over (partition by g order by h) + $season * ($seasons + 1) + 1,
          $first,
          (epoch_us($since) - $zero) // $bucket_us
        ) as first_h,
        least(h + $season * $at_least - 1, $last) as last_h
      from counts
    )
  ) else (
    select count(*)
    from candidates
    where h >= (epoch_us($since) - $zero) // $bucket_us
      and coalesce((h - earliest) // $season, 0) < $at_least
  ) end as bigint) as buckets;

-- name: evidence($since)
-- What the peak of each episode is compared with.
-- returns: group_key, start, usual, limit, past
select
  groups.group_key,
  make_timestamptz(greatest(episodes.starts_at, epoch_us($since))) as "start",
  episodes.usual,
  episodes.most as "limit",
  episodes.past
from episodes
join groups on episodes.g = groups.g
order by "start", groups.group_key;

-- name: shown($shown, $since, $bucket_us)
-- For the page: the first episodes, with the bucket of the peak; samples.sql takes it from here.
create or replace temp table shown as
select
  row_number() over (order by episodes.starts_at, groups.group_key) as episode,
  groups.group_key,
  greatest(episodes.starts_at, epoch_us($since)) as starts,
  episodes.peak_begins as from_t,
  episodes.peak_begins + $bucket_us - 1 as peak_at
from episodes
join groups on episodes.g = groups.g
order by episode
limit $shown;

-- name: backtest($thresholds, $since, $zero, $bucket_us)
-- How many episodes each of $thresholds would have given: a bucket of the period begins one where it is at the threshold,
-- and the bucket right before it in its group is not, or is not in the period.
-- returns: threshold, episodes
with wanted as (
  select distinct unnest($thresholds) as threshold
),

steps as (
  select
    bound,
    case when lag(h) over (partition by g order by h) = h - 1 then lag(bound) over (partition by g order by h) end
      as bound_before
  from unusual
  where $zero + (h + 1) * $bucket_us > epoch_us($since)
)

select
  wanted.threshold,
  count(steps.bound) as episodes
from wanted
left join steps
  on steps.bound >= wanted.threshold
    and (steps.bound_before is null or steps.bound_before < wanted.threshold)
group by wanted.threshold
order by wanted.threshold;
