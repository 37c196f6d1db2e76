-- What frameworks ask of a lake, for all packs at once.

-- name: is_filled()
-- Whether a text says something: without white space around it, it is not empty and no word for nothing. A text of eight
-- bytes or more that neither begins nor ends with white space is longer than any of these words, so that most are not
-- looked into.
create or replace temp macro is_filled(said) as
  case
    when strlen(said) >= 8 and said >= '!' and array_slice(encode(said), -1, -1) > ' '::blob
    then true
    else lower(trim(said, e' \t\n\r\f\x0b')) not in ('', '-', 'unknown', 'n/a', 'none', 'null')
  end;

-- name: cube($since, $until, $as_of)
-- All events up to as_of by type, source and UTC day of the period (days since 1970; null: not in the period).
-- The slot `filled_counts` is filled with a list: how many of the period's events have a value in each column.
-- returns: event_type, source, day, events, first, last, filled
select
  event_type,
  source,
  case when "timestamp" > $since and "timestamp" <= $until then epoch_us("timestamp") // 86400000000 end as day,
  count(*) as events,
  min("timestamp") as first_event,
  max("timestamp") as last_event,
  filled_counts as filled
from events
where "timestamp" <= $as_of
group by event_type, source, day
order by event_type, source, day;

-- name: arrivals($since, $until)
-- The events of the period by source and batch, those aside that auditlake writes about itself.
-- The slot `late_counts` is filled with a list: how many arrived later than each of some lengths.
-- returns: source, batch, events, late
select
  source,
  batch,
  count(*) as events,
  late_counts as late
from events
where "timestamp" > $since
  and "timestamp" <= $until
  and source <> 'auditlake.self'
group by source, batch
order by source, batch;

-- name: ahead($since, $until, $lengths)
-- The events of the period that are dated ahead of their arrival by more than a length, in microseconds.
-- returns: source, length, events
select
  source,
  length,
  count(*) as events
from events
cross join (select unnest($lengths) as length) as lengths
where "timestamp" > $since
  and "timestamp" <= $until
  and "timestamp" > ingested_at
  and source <> 'auditlake.self'
  and epoch_us("timestamp") - epoch_us(ingested_at) > length
group by source, length
order by source, length;

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
