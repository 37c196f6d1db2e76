-- Which of the conflicts that sql/ingest/land.sql found in `matches` are events whose personal data was replaced meanwhile.

-- name: conflicts()
-- How many candidates bring a known id with other content.
-- returns: records
select count(*) as records
from matches
where conflicts;

-- name: untold_by_id($own)
-- Candidates that conflict with nothing but events that have a pseudonym somewhere, and may be those: an event of one of
-- the sources that are not mapped, which $own are, is another one where a field differs that never has a pseudonym.
create or replace temp table untold as
select matches.seq, min(matches.record) as record
from matches
join looked_for
  on matches.seq = looked_for.seq and matches.was_spelled_so = looked_for.was_spelled_so
join events
  on looked_for.source = events.source and looked_for.event_id = events.event_id
group by matches.seq
having bool_and(matches.conflicts)
  and bool_or(
    regexp_matches(
      concat_ws(
        ' ', events.user_id, events.ip_address, events.session_id, events.resource, events.details, events.metadata
      ),
      'pseudonym-[0-9a-f]{40}'
    )
    and (
      not list_contains($own, looked_for.source)
      or (
        looked_for.event_type is not distinct from events.event_type
        and looked_for."timestamp" is not distinct from events."timestamp"
        and looked_for.action is not distinct from events.action
        and looked_for.status is not distinct from events.status
      )
    )
  );

-- name: untold_by_content()
-- Candidates that have an id that was made from content, or looks like one.
create or replace temp table untold as
select distinct seq, record
from looked_for
where regexp_full_match(event_id, '[0-9a-f]{64}');

-- name: first_untold()
-- Where in each input the first of them is, and how many it has; `bounds` is as in sql/ingest/land.sql.
-- returns: input, byte_offset, records
select
  bounds.input,
  min_by(places.byte_offset, untold.record) as byte_offset,
  count(distinct untold.record) as records
from untold
join places on untold.record = places.record
asof join bounds on untold.record >= bounds.first_record
group by bounds.input
order by bounds.input;

-- name: kept_ids()
-- The ids of erased events that had been made from content (auditlake/store/pseudonyms.py).
create or replace temp table kept_ids as
select source, event_id
from events
where starts_with(event_id, 'keyed-');

-- name: kept()
-- How many there are.
-- returns: ids
select count(*) as ids
from kept_ids;

-- name: content_ids()
-- How many candidates have an id that was made from content, or looks like one.
-- returns: records
select count(*) as records
from looked_for
where regexp_full_match(event_id, '[0-9a-f]{64}');

-- name: rekeyed($id_inner_key, $id_outer_key)
-- The candidates that the lake has under the keyed form of their id: HMAC-SHA256 of it, the two padded keys being bound.
create or replace temp table rekeyed as
with made as (
  select
    seq,
    was_spelled_so,
    source,
    'keyed-' || sha256($id_outer_key || unhex(sha256($id_inner_key || encode(event_id)))) as event_id
  from looked_for
  where regexp_full_match(event_id, '[0-9a-f]{64}')
)

select seq, was_spelled_so, event_id
from made
semi join kept_ids
  on made.source = kept_ids.source and made.event_id = kept_ids.event_id;

-- name: looked_for_by_keyed_ids()
-- They are looked for by that form.
create or replace temp view looked_for as
select sought.* replace (coalesce(rekeyed.event_id, sought.event_id) as event_id)
from sought
left join rekeyed on sought.seq = rekeyed.seq and sought.was_spelled_so = rekeyed.was_spelled_so;

-- name: renamed($inner_key, $outer_key, $check_key, $own, $exact_since)
-- Those that are the event in the lake but perhaps for the JSON: each personal field is the same, or what is there is its
-- pseudonym (see sql/retention/day.sql). Of sources that are mapped ($own are the others) the vendor's event alone counts,
-- which is in details. Only batches of a folder below $exact_since hold what an earlier version spelled. `events` shows the
-- days on which the ids are known.
create or replace temp table renamed as
with pairs as (
  select
    looked_for.seq,
    looked_for.was_spelled_so,
    not list_contains($own, looked_for.source) as is_mapped,
    looked_for.details,
    events.details as known_details,
    looked_for.metadata,
    events.metadata as known_metadata,
    [looked_for.user_id, looked_for.ip_address, looked_for.session_id, looked_for.resource] as fields,
    [events.user_id, events.ip_address, events.session_id, events.resource] as known_fields,
    looked_for.event_type is not distinct from events.event_type
    and looked_for."timestamp" is not distinct from events."timestamp"
    and looked_for.action is not distinct from events.action
    and looked_for.status is not distinct from events.status as is_alike
  from matches
  join looked_for
    on matches.seq = looked_for.seq and matches.was_spelled_so = looked_for.was_spelled_so
  join events
    on looked_for.source = events.source and looked_for.event_id = events.event_id
  where matches.conflicts
    and (not looked_for.was_spelled_so or coalesce(events.batch < $exact_since, $exact_since is null))
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

select
  row_number() over () as number,
  seq,
  was_spelled_so,
  is_mapped,
  details,
  known_details,
  metadata,
  known_metadata
from named
where is_mapped
  or (
    is_alike
    and len(list_filter(
      [1, 2, 3, 4],
      lambda i: fields[i] is distinct from known_fields[i] and pseudonym[i] is distinct from known_fields[i]
    )) = 0
  );

-- name: renamed_texts()
-- Those of them whose JSON differs, for a parser to judge.
-- returns: number, details, known_details, metadata, known_metadata
select
  number,
  details,
  known_details,
  if(is_mapped, null, metadata) as metadata,
  if(is_mapped, null, known_metadata) as known_metadata
from renamed
where details is distinct from known_details
  or (not is_mapped and metadata is distinct from known_metadata);

-- name: excused($others)
-- What is the event that is there is no conflict but a duplicate; $others are those pairs that the parser judged
-- otherwise, by number.
update matches
set conflicts = false
where (seq, was_spelled_so) in (
  select (seq, was_spelled_so)
  from renamed
  where not list_contains(cast($others as bigint[]), number)
);
