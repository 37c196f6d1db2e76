-- name: sieved($types, $after, $near, $as_of)
-- The events that any of several policies counts, or on which the condition of any fails, found in one scan: each path of
-- details and metadata that a condition names is read once, and every condition is evaluated over what was read. Events
-- later than $as_of are kept for their number. Those up to $near matter only to policies that look far back.
-- The slots are filled by auditlake/policies/sieve.py: slot_details and slot_metadata with the values at the paths that the
-- policies of the event's source name, slot_paths with a column for each, slot_lowered with the same in lower case,
-- slot_tried with the conditions that may fail, slot_marks with numbers of two bits for each policy: 1 where its condition
-- is met, 2 where that fails; slot_kept with the columns that the policies read later.
create or replace temp table sieved as
with asked as (
  select
    *,
    "timestamp" > $near as is_near
  from events
  where list_contains($types, event_type)
    and "timestamp" > $after
),

extracted as (
  select
    *,
    slot_details as details_values,
    slot_metadata as metadata_values
  from asked
),

named as (
  select *, slot_paths
  from extracted
),

lowered as (
  select *, slot_lowered
  from named
),

tried as (
  select *, slot_tried
  from lowered
),

-- Null where details or metadata cannot be read.
marked as (
  select
    slot_kept,
    case
      when (details is null or details_values is not null) and (metadata is null or metadata_values is not null)
      then slot_marks
    end as marks
  from tried
)

-- Unnesting is a filter that is never pushed below what it reads, where everything would be evaluated twice.
select
  * exclude (marks),
  unnest(
    case
      when marks is null or list_max(marks) > 0 or "timestamp" > $as_of
      then [marks]
      else cast([] as bigint[][])
    end
  ) as marks
from marked;

-- name: read_events($types, $after)
-- Of every event what policies without a condition group by and measure, each path of details and metadata read once. The
-- slots slot_details and slot_metadata are filled with the values at the paths, slot_kept with the columns.
create or replace temp table read_events as
select
  slot_kept,
  (details is null or details_values is not null) and (metadata is null or metadata_values is not null) as is_readable
from (
  select
    *,
    slot_details as details_values,
    slot_metadata as metadata_values
  from events
  where list_contains($types, event_type)
    and "timestamp" > $after
);

-- name: unread()
-- How many of these events could not be read.
-- returns: events
select count(*) as events
from read_events
where not is_readable;

-- name: sources()
-- The sources of all events.
-- returns: source
select distinct source
from events;

-- name: counted_by()
-- Which policies have events among those: of each source, the marks of all events together.
-- returns: source, number, mark
select
  source,
  number,
  bit_or(mark) as mark
from (
  select
    source,
    unnest(range(1, len(marks) + 1)) as number,
    unnest(marks) as mark
  from sieved
)
group by source, number
order by source, number;

-- name: unreadable()
-- How many events there are of which no condition could be evaluated this way.
-- returns: events
select count(*) as events
from sieved
where marks is null;

-- name: own_events($as_of, $source, $number, $shift)
-- The events that one policy counts or fails on, and those that are later than $as_of; what its other statements read
-- instead of all events.
create or replace temp table own_events as
select
  * exclude (marks, verdict),
  verdict = 1 as met,
  verdict = 2 as failed
from (
  -- The marks of another source are about other policies.
  select
    *,
    case when $source is null or source = $source then list_extract(marks, $number) >> $shift & 3 else 0 end as verdict
  from sieved
)
where "timestamp" > $as_of
  or verdict > 0;
