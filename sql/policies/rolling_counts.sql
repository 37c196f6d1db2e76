-- name: instants($alert_threshold)
-- Question 1, step 2: the last arrival of each instant of a group, with the time of the k-th newest arrival by then.
-- The count is at least k from here until that k-th newest arrival is one window old, if that lies ahead.
create or replace temp table instants as
select
  g,
  t,
  arrival,
  case when kth_g = g then kth_t end as kth_t
from (
  select
    g,
    t,
    rowid as arrival,
    lag(t, $alert_threshold - 1) over () as kth_t,
    lag(g, $alert_threshold - 1) over () as kth_g,
    lead(t) over () as next_t,
    lead(g) over () as next_g
  from arrivals
)
where next_t is distinct from t
  or next_g is distinct from g;

-- name: series($since, $window_us)
-- Step 3: the rolling count of every group, at the start of the period and at every later instant of an arrival.
-- An event exactly one window old is out, so what is counted out is everything at or before t - window.
create or replace temp table series as
with opening as (
  -- Everything loaded so far lies within one window of the start of the period.
  select
    g,
    epoch_us($since) as t,
    max(arrival) as arrival,
    max(arrival) - g + 1 as events,
    max(kth_t) + $window_us as breach_until
  from instants
  where t <= epoch_us($since)
  group by g
),

later as (
  select
    i.g,
    i.t,
    i.arrival,
    i.arrival - coalesce(gone.arrival, i.g - 1) as events,
    i.kth_t + $window_us as breach_until
  from instants as i
  asof left join instants as gone
    on i.g = gone.g and i.t - $window_us >= gone.t
  where i.t > epoch_us($since)
)

select g, t, arrival, events, breach_until from opening
union all
select g, t, arrival, events, breach_until from later
order by g, t;

-- name: episodes($alert_threshold)
-- Step 4: the maximal stretches at or above the threshold. Two that touch are one.
create or replace temp table episodes as
with breaches as (
  select g, t, arrival, events, breach_until
  from series
  where events >= $alert_threshold
),

marked as (
  select
    g,
    t,
    arrival,
    events,
    breach_until,
    case when lag(g) over () is distinct from g or lag(breach_until) over () < t then 1 else 0 end as begins
  from breaches
),

numbered as (
  select
    g,
    t,
    arrival,
    events,
    breach_until,
    sum(begins) over (rows unbounded preceding) as episode
  from marked
)

select
  g,
  min(t) as starts,
  max(breach_until) as ends,
  max(events) as peak,
  arg_max(t, events::hugeint * 1000000000000000000 - t) as peak_at,
  arg_max(arrival, events::hugeint * 1000000000000000000 - t) as peak_arrival
from numbered
group by g, episode;

-- name: rolling_counts($since, $until)
-- The episodes of the period (since, until], clipped to it; "end" is null where the count is still high at its end.
-- returns: group_key, start, end, ongoing, started_before_period, peak, peak_at
select
  groups.group_key,
  make_timestamptz(starts) as "start",
  case when ends <= epoch_us($until) then make_timestamptz(ends) end as "end",
  ends > epoch_us($until) as ongoing,
  starts <= epoch_us($since) as started_before_period,
  peak,
  make_timestamptz(peak_at) as peak_at
from episodes
join groups on episodes.g = groups.g
order by "start", groups.group_key;

-- name: daily_peaks($since, $until, $window_us)
-- For each UTC day with an instant in (since, until]: the largest rolling count of any group at any moment of it.
-- What is carried over midnight counts, so the count at each midnight is taken beside those at the arrivals.
-- returns: day (days since 1970), peak
with at_arrivals as (
  select
    t // 86400000000 as day,
    max(events) as peak
  from series
  group by day
),

-- An arrival counts at every midnight from the first at or after it, until it is one window old.
spans as (
  select
    g,
    (t + 86399999999) // 86400000000 as first_day,
    (t + $window_us + 86399999999) // 86400000000 as end_day,
    count(*) as events
  from arrivals
  group by g, first_day, end_day
),

at_midnights as (
  select day, max(events) as peak
  from (
    select g, day, sum(events) as events
    from (
      select g, events, unnest(range(first_day, end_day)) as day
      from spans
    )
    where day * 86400000000 > epoch_us($since)
      and day * 86400000000 <= epoch_us($until)
    group by g, day
  )
  group by day
),

days as (
  select unnest(range((epoch_us($since) + 1) // 86400000000, epoch_us($until) // 86400000000 + 1)) as day
)

select
  days.day,
  cast(greatest(coalesce(at_arrivals.peak, 0), coalesce(at_midnights.peak, 0)) as bigint) as peak
from days
left join at_arrivals on days.day = at_arrivals.day
left join at_midnights on days.day = at_midnights.day
order by days.day;
