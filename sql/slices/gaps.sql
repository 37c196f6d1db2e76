-- name: coverage_gaps($since_us, $until_us, $as_of_us, $cell_us)
-- Stretches between neighbouring events of a type, as_of being the last neighbour, that are longer than `limits` has for
-- the type. A cell of time is as long as the shortest of these lengths, so such a stretch lies in no single cell: the
-- first and the last event of each are enough.
-- returns: event_type, starts, ends
select stretches.event_type, starts, ends
from (
  select
    event_type,
    last_t as starts,
    lead(first_t) over (partition by event_type order by first_t) as ends
  from (
    select
      event_type,
      min(t) as first_t,
      max(t) as last_t
    from leaf
    where t <= $as_of_us
    group by event_type, t - t % $cell_us
  ) as cells
) as stretches
join limits on stretches.event_type = limits.event_type
where coalesce(ends, $as_of_us) - starts > longest
  and starts < $until_us
  and coalesce(ends, $as_of_us) > $since_us;
