-- What frameworks ask of a lake, for all packs at once.

-- name: cube($since, $until, $as_of)
-- All events up to as_of by type, source and UTC day of the period (days since 1970; null: not in the period).
-- The slot `filled_bits` is filled with a number that has a bit for each column in which an event of the period has a
-- value, and `filled_counts` with a list: how many events have each bit. Outside of the period no column is read.
-- returns: event_type, source, day, events, first, last, filled
with counted as (
  select
    event_type,
    source,
    epoch_us("timestamp") // 86400000000 as day,
    filled_bits as bits,
    count(*) as events,
    min("timestamp") as first_event,
    max("timestamp") as last_event
  from events
  where "timestamp" > $since
    and "timestamp" <= $until
  group by event_type, source, day, bits
  union all
  select
    event_type,
    source,
    null as day,
    0 as bits,
    count(*) as events,
    min("timestamp") as first_event,
    max("timestamp") as last_event
  from events
  where "timestamp" <= $since
    or ("timestamp" > $until and "timestamp" <= $as_of)
  group by event_type, source
)

select
  event_type,
  source,
  day,
  cast(sum(events) as bigint) as events,
  min(first_event) as first_event,
  max(last_event) as last_event,
  filled_counts as filled
from counted
group by event_type, source, day
order by event_type, source, day;

-- name: shared_cube($since, $until, $as_of)
-- The same from the table of policies/shared.sql, with whatever policies are judged together with frameworks. The slot
-- `filled_counts` is filled with a list again.
-- returns: as cube
with counted as (
  select
    *,
    first_seen > $since and first_seen <= $until as is_in_period,
    case when is_in_period then day end as day_of_period
  from shared
  where first_seen <= $as_of
)

select
  event_type,
  source,
  day_of_period as day,
  cast(sum(events) as bigint) as events,
  min(first_seen) as first_event,
  max(last_seen) as last_event,
  filled_counts as filled
from counted
group by event_type, source, day_of_period
order by event_type, source, day_of_period;

-- name: arrivals($since, $until)
-- The events of the period by source and batch, those aside that auditlake writes about itself.
-- The slots `late_counts` and `ahead_counts` are filled with lists: how many arrived later than each of some lengths, and
-- how many are dated ahead of their arrival by more than each of others.
-- returns: source, batch, events, late, ahead
select
  source,
  batch,
  count(*) as events,
  late_counts as late,
  ahead_counts as ahead
from events
where "timestamp" > $since
  and "timestamp" <= $until
  and source <> 'auditlake.self'
group by source, batch
order by source, batch;

-- name: arrived()
-- The same events of each data file, those aside that auditlake writes about itself: a summary, without instants. The slots
-- are filled with numbers: `late_of_event` with how many of some lengths the event arrived later than, `ahead_of_event`
-- with how many of others it is dated ahead by more than.
-- returns: file_index, source, batch, late, ahead, events
select
  file_index,
  source,
  batch,
  late_of_event as late,
  ahead_of_event as ahead,
  count(*) as events
from (
  select
    file_index,
    source,
    batch,
    epoch_us(ingested_at) - epoch_us("timestamp") as delay
  from events
  where source <> 'auditlake.self'
)
group by file_index, source, batch, late, ahead
order by file_index, source, batch, late, ahead;

-- name: shared_arrivals()
-- What `arrivals` gives, from the table of `arrived`: the stretch between the two instants is the period. The slots are
-- those of `arrivals`.
-- returns: as arrivals
select
  source,
  batch,
  cast(sum(events) as bigint) as events,
  late_counts as late,
  ahead_counts as ahead
from arrived
where stretch = 1
group by source, batch
order by source, batch;

-- name: older($types, $instants)
-- The events of each of some types that are older than the instant in the same place, those under a legal hold aside.
-- The slot `on_hold` is filled in the syntax tree with the condition of the active holds.
-- returns: event_type, before, events
with asked as (
  select
    unnest($types) as asked_type,
    unnest(cast($instants as timestamptz[])) as "before"
)

select
  event_type,
  "before",
  count(*) as events
from events
join asked
  on event_type = asked_type
  and "timestamp" < "before"
where not on_hold
group by event_type, "before"
order by event_type, "before";

-- name: looks($types, $first, $behind, $unit, $reviewers)
-- The events that reviews are about, by unit of time in microseconds from Monday, 1970-01-05; and which of those who
-- gave reviews are users of them.
-- returns: start, event_type, batch, events, users
select
  make_timestamptz((epoch_us("timestamp") - 345600000000) // $unit * $unit + 345600000000) as "start",
  event_type,
  batch,
  count(*) as events,
  list(distinct user_id) filter (list_contains($reviewers, user_id)) as users
from events
where list_contains($types, event_type)
  and "timestamp" >= $first
  and "timestamp" < $behind
group by "start", event_type, batch
order by "start", event_type, batch;
