-- One day's files become one without what is due: `events` shows the files of that day.

-- name: staying($types, $cutoffs, $default_cutoff, $limited_types, $limits, $as_of)
-- The day's rows but those that are due, and of each whether its personal data must go. An event under a hold stays as
-- it is. See retention/judge.sql: what is due there is what is missing here.
create or replace temp table marked as
select
  *,
  not on_hold
  and coalesce(list_contains($limited_types, event_type), false)
  and "timestamp" <= $as_of
  and coalesce(
    "timestamp" < list_extract(cast($limits as timestamptz[]), list_position($limited_types, event_type)),
    false
  ) as is_changed
from events
where on_hold
  or not coalesce(
    "timestamp" < case
      when list_contains($types, event_type)
      then list_extract(cast($cutoffs as timestamptz[]), list_position($types, event_type))
      else cast($default_cutoff as timestamptz)
    end,
    false
  );

-- name: of_person($who)
-- The day's rows, and of each whether it is one of the person's ($who: the name, and the pseudonym it may have already).
-- An event under a hold stays as it is.
create or replace temp table marked as
select
  *,
  not on_hold and coalesce(list_contains($who, user_id), false) as is_changed
from events;

-- name: traces($who)
-- The addresses and sessions of the person's events.
-- returns: text
with traces as (
  select unnest([ip_address, session_id]) as text
  from events
  where list_contains($who, user_id)
)

select distinct text
from traces
where text is not null;

-- name: personal_texts($in_details, $in_metadata)
-- The JSON of rows to be changed that has something at one of the personal places.
-- returns: place, text
select distinct 'details' as place, details as text
from marked
where is_changed
  and len(list_filter($in_details, lambda place: json_extract_string(details, place) is not null)) > 0
union all
select distinct 'metadata' as place, metadata as text
from marked
where is_changed
  and len(list_filter($in_metadata, lambda place: json_extract_string(metadata, place) is not null)) > 0;

-- name: rows_as_they_stay($inner_key, $outer_key, $check_key)
-- The marked rows in time order, without the partition column, personal fields of those to be changed replaced:
-- HMAC-SHA256 of the value with a key of the lake, the two padded keys being bound, and eight digits that only the lake
-- can make. What is a pseudonym already stays. `new_texts(place, old_text, new_text)` has the JSON.
with pieces as (
  select
    *,
    case when is_changed then [user_id, ip_address, session_id] end as fields
  from marked
),

bodies as (
  select
    *,
    list_transform(fields, lambda text: left(sha256($outer_key || unhex(sha256($inner_key || encode(text)))), 32)) as body
  from pieces
),

named as (
  select
    *,
    list_transform(
      body, lambda text: 'pseudonym-' || text || left(sha256(cast($check_key as varchar) || text), 8)
    ) as pseudonym,
    list_transform(
      fields,
      lambda text: coalesce(
        starts_with(text, 'pseudonym-')
        and len(text) = 50
        and left(sha256(cast($check_key as varchar) || substr(text, 11, 32)), 8) = right(text, 8),
        false
      )
    ) as is_pseudonym
  from bodies
)

select
  event_id,
  event_type,
  "timestamp",
  case when is_changed and not is_pseudonym[1] then pseudonym[1] else user_id end as user_id,
  action,
  resource,
  status,
  coalesce(of_details.new_text, details) as details,
  coalesce(of_metadata.new_text, metadata) as metadata,
  case when is_changed and not is_pseudonym[3] then pseudonym[3] else session_id end as session_id,
  case when is_changed and not is_pseudonym[2] then pseudonym[2] else ip_address end as ip_address,
  source,
  ingested_at,
  batch,
  seq,
  salt
from named
left join new_texts as of_details
  on of_details.place = 'details' and is_changed and details = of_details.old_text
left join new_texts as of_metadata
  on of_metadata.place = 'metadata' and is_changed and metadata = of_metadata.old_text
order by "timestamp", batch, seq;

-- name: differences()
-- What the rewritten day has, and how it differs from the files that it replaces: rows that are gone (or changed), and
-- rows that were not there before (changed).
-- returns: rows, first, last, gone, new
select
  (select count(*) from rewritten) as events,
  (select min("timestamp") from rewritten) as first_event,
  (select max("timestamp") from rewritten) as last_event,
  (select count(*) from (from events except all from rewritten)) as gone,
  (select count(*) from (from rewritten except all from events)) as changed;

-- name: other_leaves()
-- Of the leaves before (sql/ledger/leaves.sql) those that are not there any more, and what is in their place. What
-- another program wrote is of no batch, and of no leaf of ours.
-- returns: batch, seq, leaf_before, leaf_after (null where the row is gone)
select
  leaves_before.batch,
  leaves_before.seq,
  leaves_before.leaf as leaf_before,
  leaves_after.leaf as leaf_after
from leaves_before
left join leaves_after
  on leaves_before.batch = leaves_after.batch and leaves_before.seq = leaves_after.seq
where leaves_before.batch is not null
  and leaves_before.leaf is distinct from leaves_after.leaf
order by leaves_before.batch, leaves_before.seq;

-- name: batches()
-- How many rows of which batches days that go whole have. What another program wrote is of no batch.
-- returns: batch, event_date, rows
select
  batch,
  event_date,
  count(*) as events
from events
where batch is not null
group by batch, event_date
order by batch, event_date;

-- name: person_days($who, $in_details, $in_metadata, $check_key)
-- A person's events by day: those under a hold, and those that still have a personal field which is no pseudonym.
-- returns: day, events, held, named
with theirs as (
  select
    event_date - date '1970-01-01' as day,
    on_hold as is_held,
    list_concat(
      [user_id, ip_address, session_id],
      list_transform($in_details, lambda place: json_extract_string(details, place)),
      list_transform($in_metadata, lambda place: json_extract_string(metadata, place))
    ) as personal
  from events
  where list_contains($who, user_id)
)

select
  day,
  count(*) as events,
  count(*) filter (is_held) as held,
  count(*) filter (
    not is_held
    and len(list_filter(
      personal,
      lambda text: text is not null
        and coalesce(
          not (
            starts_with(text, 'pseudonym-')
            and len(text) = 50
            and left(sha256(cast($check_key as varchar) || substr(text, 11, 32)), 8) = right(text, 8)
          ),
          true
        )
    )) > 0
  ) as named
from theirs
group by day
order by day;
