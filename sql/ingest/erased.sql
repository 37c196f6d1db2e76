-- Which of the conflicts that sql/ingest/land.sql found in `matches` are events whose personal data was replaced meanwhile.

-- name: conflicts()
-- How many candidates bring a known id with other content.
-- returns: records
select count(*) as records
from matches
where conflicts;

-- name: renamed($inner_key, $outer_key, $check_key)
-- Those that are the event in the lake but perhaps for the JSON: each personal field is the same, or what is there is its
-- pseudonym (see sql/retention/day.sql). `events` shows the days on which the ids are known.
create or replace temp table renamed as
with pairs as (
  select
    sought.seq,
    sought.details,
    events.details as known_details,
    sought.metadata,
    events.metadata as known_metadata,
    [sought.user_id, sought.ip_address, sought.session_id] as fields,
    [events.user_id, events.ip_address, events.session_id] as known_fields
  from matches
  join sought on matches.seq = sought.seq and matches.was_spelled_so = sought.was_spelled_so
  join events
    on sought.source = events.source and sought.event_id = events.event_id
  where matches.conflicts
    and sought.event_type is not distinct from events.event_type
    and sought."timestamp" is not distinct from events."timestamp"
    and sought.action is not distinct from events.action
    and sought.resource is not distinct from events.resource
    and sought.status is not distinct from events.status
),

bodies as (
  select
    *,
    list_transform(fields, lambda text: left(sha256($outer_key || unhex(sha256($inner_key || encode(text)))), 32)) as body
  from pairs
),

named as (
  select
    *,
    list_transform(
      body, lambda text: 'pseudonym-' || text || left(sha256(cast($check_key as varchar) || text), 8)
    ) as pseudonym
  from bodies
)

select row_number() over () as number, seq, details, known_details, metadata, known_metadata
from named
where len(list_filter(
  [1, 2, 3],
  lambda i: fields[i] is distinct from known_fields[i] and pseudonym[i] is distinct from known_fields[i]
)) = 0;

-- name: renamed_texts()
-- Those of them whose JSON differs, for a parser to judge.
-- returns: number, details, known_details, metadata, known_metadata
select number, details, known_details, metadata, known_metadata
from renamed
where details is distinct from known_details
  or metadata is distinct from known_metadata;

-- name: excused($others)
-- What is the event that is there is no conflict but a duplicate; $others are those pairs that the parser judged
-- otherwise, by number.
update matches
set conflicts = false
where seq in (
  select seq
  from renamed
  where not list_contains(cast($others as bigint[]), number)
);
