-- name: required_types($types)
-- Every required type with its events in the period, zero included, and when it was first and last seen up to as_of.
-- returns: event_type, events, first_seen, last_seen
select
  required.event_type,
  cast(coalesce(sum(type_days.events), 0) as bigint) as events,
  min(type_days.first_seen) as first_seen,
  max(type_days.last_seen) as last_seen
from (select unnest($types) as event_type) as required
left join type_days on required.event_type = type_days.event_type
group by required.event_type
order by required.event_type;

-- name: type_day_counts()
-- The governed events of the period by type and UTC day (days since 1970); days with none are left out.
-- returns: event_type, day, events
select event_type, day, events
from type_days
where events > 0
order by event_type, day;

-- name: coverage_gaps($types, $since, $until, $as_of, $max_gap_us)
-- Stretches longer than max_gap between neighbouring occurrences of a required type, as_of being the last neighbour.
-- returns: event_type, start, end
with occurrences as (
  select event_type, epoch_us("timestamp") as t
  from moments
  where list_contains($types, event_type)
    and "timestamp" <= $as_of
),

stretches as (
  select
    event_type,
    t as starts,
    lead(t) over (partition by event_type order by t) as ends
  from occurrences
)

select
  event_type,
  make_timestamptz(starts) as "start",
  case when ends is not null then make_timestamptz(ends) end as "end"
from stretches
where coalesce(ends, epoch_us($as_of)) - starts > $max_gap_us
  and starts < epoch_us($until)
  and coalesce(ends, epoch_us($as_of)) > epoch_us($since)
order by event_type, starts;

-- name: presence($since, $until)
-- Whether anything at all was received in the period; what auditlake writes about itself does not count as received.
-- returns: received
select
  exists (
    select 1
    from events
    where "timestamp" > $since
      and "timestamp" <= $until
      and source <> 'auditlake.self'
  ) as received;

-- name: first_event($as_of)
-- The lake's first event, by itself: an engine that knows when the events of a file begin reads a file or two for it.
-- returns: first_event
select "timestamp" as first_event
from events
where "timestamp" <= $as_of
order by "timestamp"
limit 1;
