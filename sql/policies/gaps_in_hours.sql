-- name: coverage_gaps($gap_types, $longest_us, $week_types, $opens_us, $closes_us, $zone_types, $changes_us, $ahead_us, $measured_from, $since, $until, $as_of)
-- As gaps_by_type.sql, where silence of some types counts in some hours of the week only: $week_types, $opens_us and
-- $closes_us have those hours, a row each, in microseconds since Monday 00:00 by the local clock; $zone_types,
-- $changes_us and $ahead_us say since when that clock is how far ahead of UTC. A type without hours counts always.
-- A stretch is measured from $measured_from on at the earliest: from there to $since there are more hours than any type
-- may be silent, so what came before decides nothing.
-- returns: event_type, start, end
with limits as (
  select
    unnest($gap_types) as event_type,
    unnest($longest_us) as longest
),

weeks as (
  select
    unnest($week_types) as event_type,
    unnest($opens_us) as opens,
    unnest($closes_us) as closes
),

zones as (
  select
    event_type,
    changes,
    ahead,
    lead(changes, 1, 9223372036854775807) over (partition by event_type order by changes) as until_change
  from (
    select
      unnest($zone_types) as event_type,
      unnest($changes_us) as changes,
      unnest($ahead_us) as ahead
  )
),

neighbours as (
  select
    event_type,
    epoch_us("timestamp") as starts,
    lead(epoch_us("timestamp")) over (partition by event_type order by "timestamp") as ends
  from moments
  where list_contains($gap_types, event_type)
    and "timestamp" <= $as_of
),

-- What is long enough by any clock.
stretches as (
  select
    row_number() over () as number,
    neighbours.event_type,
    starts,
    ends,
    longest,
    greatest(starts, epoch_us($measured_from)) as measured,
    coalesce(ends, epoch_us($as_of)) as reach
  from neighbours
  join limits on neighbours.event_type = limits.event_type
  where coalesce(ends, epoch_us($as_of)) - starts > longest
    and starts < epoch_us($until)
    and coalesce(ends, epoch_us($as_of)) > epoch_us($since)
),

-- The hours of every week that a stretch may touch, by the local clock. Weeks are counted from Monday, 1969-12-29.
openings as (
  select
    numbered.number,
    numbered.event_type,
    numbered.week * 604800000000 - 259200000000 + weeks.opens as opens,
    numbered.week * 604800000000 - 259200000000 + weeks.closes as closes
  from (
    select
      number,
      event_type,
      unnest(range((measured + 259200000000) // 604800000000 - 1, (reach + 259200000000) // 604800000000 + 2)) as week
    from stretches
  ) as numbered
  join weeks on numbered.event_type = weeks.event_type
),

-- The same in UTC: the clock shows a time from the first instant on at which it shows that time or a later one. So what
-- it leaves out is nothing, and what it shows twice counts from the first time on.
hours as (
  select
    openings.number,
    min(greatest(changes, opens - ahead)) filter (greatest(changes, opens - ahead) < until_change) as opens,
    min(greatest(changes, closes - ahead)) filter (greatest(changes, closes - ahead) < until_change) as closes
  from openings
  join zones on openings.event_type = zones.event_type
  group by openings.number, openings.opens, openings.closes
),

silences as (
  select
    stretches.number,
    sum(greatest(0, least(reach, hours.closes) - greatest(measured, hours.opens))) as silence
  from stretches
  join hours on stretches.number = hours.number
  group by stretches.number
)

select
  stretches.event_type,
  make_timestamptz(starts) as "start",
  case when ends is not null then make_timestamptz(ends) end as "end"
from stretches
left join silences on stretches.number = silences.number
where coalesce(silence, reach - starts) > longest
order by stretches.event_type, starts;
