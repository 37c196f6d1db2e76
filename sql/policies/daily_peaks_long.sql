-- name: daily_peaks($origin, $since, $until, $span_us)
-- For each UTC day with an instant in (since, until]: the largest rolling count of any group at any moment of it.
-- What is carried over midnight counts, so the count at each midnight is taken beside those at the rises.
-- For long windows: an arrival counts at many midnights, so levels are carried instead of arrivals. The answer is the
-- same, at a cost that does not grow with the window.
-- returns: day (days since 1970), peak
with at_rises as (
  select
    greatest(epoch_us($origin) + moment % $span_us, epoch_us($since)) // 86400000000 as day,
    max(2 * rowid + 1 - place) as peak
  from rises
  group by day
),

-- The count after each change holds until the next one; of those that hold at the same midnights the highest matters.
stretches as (
  select
    change >> 1 as moment,
    lead(change >> 1) over () as next_at,
    sum(case when change & 1 = 1 then 1 else -1 end) over (rows unbounded preceding) as events
  from changes
),

spans as (
  select
    (epoch_us($origin) + moment % $span_us + 86399999999) // 86400000000 as first_day,
    (epoch_us($origin) + next_at % $span_us + 86399999999) // 86400000000 as end_day,
    max(events) as events
  from stretches
  -- Those with a midnight within: days are whole in the numbers of all groups.
  where events > 0
    and (moment + 86399999999) // 86400000000 < (next_at + 86399999999) // 86400000000
  group by first_day, end_day
),

at_midnights as (
  select day, max(events) as peak
  from (
    select events, unnest(range(cast(first_day as bigint), cast(end_day as bigint))) as day
    from spans
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
