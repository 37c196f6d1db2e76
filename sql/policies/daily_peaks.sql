-- name: daily_peaks($origin, $since, $until, $window_us, $span_us)
-- For each UTC day with an instant in (since, until]: the largest rolling count of any group at any moment of it.
-- What is carried over midnight counts, so the count at each midnight is taken beside those at the rises.
-- For windows of up to two days.
-- returns: day (days since 1970), peak
with at_rises as (
  select
    greatest(epoch_us($origin) + moment % $span_us, epoch_us($since)) // 86400000000 as day,
    max(2 * rowid + 1 - place) as peak
  from rises
  group by day
),

-- An arrival counts at every midnight from the first at or after it, until it is one window old. A group has whole days,
-- so they are numbered like the moments: through all groups.
spans as (
  select
    (moment + 86399999999) // 86400000000 as first_day,
    (moment + $window_us + 86399999999) // 86400000000 as end_day,
    count(*) as events
  from arrivals
  group by first_day, end_day
),

at_midnights as (
  select day, max(events) as peak
  from (
    select
      epoch_us($origin) // 86400000000 + day_of_group % ($span_us // 86400000000) as day,
      sum(events) as events
    from (
      select events, unnest(range(cast(first_day as bigint), cast(end_day as bigint))) as day_of_group
      from spans
    )
    group by day_of_group
  )
  where day * 86400000000 > epoch_us($since)
    and day * 86400000000 <= epoch_us($until)
  group by day
),

days as (
  select unnest(range((epoch_us($since) + 1) // 86400000000, epoch_us($until) // 86400000000 + 1)) as day
)

select
  days.day,
  cast(greatest(coalesce(at_rises.peak, 0), coalesce(at_midnights.peak, 0)) as bigint) as peak
from days
left join at_rises on days.day = at_rises.day
left join at_midnights on days.day = at_midnights.day
order by days.day;
