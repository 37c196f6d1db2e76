-- name: coverage_gaps($gap_types, $longest_us, $since, $until, $as_of)
-- Where each type has a length of its own: stretches longer than it between neighbouring occurrences of the type, as_of
-- being the last neighbour.
-- returns: event_type, start, end
with limits as (
  select
    unnest($gap_types) as event_type,
    unnest($longest_us) as longest
),

stretches as (
  select
    event_type,
    epoch_us("timestamp") as starts,
    lead(epoch_us("timestamp")) over (partition by event_type order by "timestamp") as ends
  from moments
  where list_contains($gap_types, event_type)
    and "timestamp" <= $as_of
)

select
  stretches.event_type,
  make_timestamptz(starts) as "start",
  case when ends is not null then make_timestamptz(ends) end as "end"
from stretches
join limits on stretches.event_type = limits.event_type
where coalesce(ends, epoch_us($as_of)) - starts > longest
  and starts < epoch_us($until)
  and coalesce(ends, epoch_us($as_of)) > epoch_us($since)
order by stretches.event_type, starts;
