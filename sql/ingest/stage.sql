-- name: places()
-- Where each record stands in its input, in case it has to be shown.
create or replace temp table places (
  record bigint,
  line bigint,
  byte_offset bigint,
  byte_length bigint
);

-- name: digests()
-- For every event that brought no id, the SHA-256 of its record's bytes.
create or replace temp table digests (
  seq bigint,
  record bigint,
  event_number bigint,
  source varchar,
  digest varchar
);

-- name: keyed()
-- What is `loaded`, with the keys of each record.
create or replace temp view keyed as
select
  record,
  "text",
  try(json_keys("text")) as present
from loaded;

-- name: objects()
-- The records among them that are JSON objects beyond doubt. DuckDB also takes trailing commas, NaN and Infinity, so what
-- may hold one is left out, for a stricter parser to judge. Each pattern begins with a byte that is quick to find.
create or replace temp view objects as
with looked_at as (
  select
    *,
    is_suspect("text") as suspect
  from keyed
)

select *
from looked_at
where present is not null
  and "text" like '{%'
  and (
    not suspect
    or (
      not regexp_matches("text", ':\s*-?(?i:nan|inf)')
      and not regexp_matches("text", '\[\s*-?(?i:nan|inf)')
      and not regexp_matches("text", ',\s*(-?(?i:nan|inf)|[\]}])')
    )
  );

-- name: records()
-- What a mapping reads that looks for repeated keys by itself: nothing in it would DuckDB write otherwise.
create or replace temp view records as
select * exclude (suspect)
from objects
where not suspect
  or not rewrites_numbers("text");

-- name: records_with_distinct_keys()
-- What every other mapping reads: of a key that comes twice DuckDB would take one. A mapping may find JSON inside of a
-- text, and what is spelled with escapes there is not found from outside.
create or replace temp view records as
select * exclude (suspect)
from objects
where list_unique(present) = len(present)
  and (not suspect or not rewrites_numbers("text"))
  and not regexp_matches("text", '\\u00[2-7]');

-- name: sure()
-- Of the records that neither view has, those that are JSON objects beyond doubt: only their numbers need care.
-- returns: record
select record
from objects;

-- name: sure_with_distinct_keys()
-- returns: record
select record
from objects
where list_unique(present) = len(present);

-- name: cleared_records()
-- What a mapping reads of records that were judged before.
create or replace temp view records as
from keyed;

-- name: stage($source, $sources, $event_types, $verbatim, $untyped)
-- What `mapped`, the source's mapping, gives, with the time read and everything judged: events, and what has a reason why
-- it is none. A mapping of which one record may give several rows, or none, numbers those of each record from 0 in
-- `event_number`; every other gives one row a record, and has no such column.
-- A time is RFC 3339, or the same without an offset (then UTC); a leap second is the last microsecond before it. The
-- offset may lack its colon, or have a space before it.
-- Details are written in one way, however a vendor laid them out: two copies of an event must be equal.
-- What a lake exported is of the source that it was there, if that is one of $sources; only a mapping that can tell has
-- exported_from. A record that its mapping leaves out has the name of why in `skipped`; `fault` is the mapping's own reason.
with sourced as (
  from mapped
  union all by name
  select
    cast(null as varchar) as exported_from,
    cast(null as bigint) as event_number,
    cast(null as varchar) as skipped
  where false
),

spelled as (
  select * replace (
    case
      when "timestamp"[-5] in ('+', '-') or "timestamp"[-7] = ' '
      then regexp_replace("timestamp", ' ?([+-]\d{2}):?(\d{2})$', '\1:\2')
      else "timestamp"
    end as "timestamp"
  )
  from sourced
),

shaped as (
  select
    *,
    regexp_full_match(
      "timestamp",
      '\d{4}-\d{2}-\d{2}[Tt ]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?([Zz]|[+-](0\d|1[0-7]):[0-5]\d|[+-]18:00)?'
    ) as has_shape
  from spelled
),

timed as (
  select
    *,
    case
      when not has_shape
      then null
      when contains("timestamp", ':60') and "timestamp"[18:19] = '60'
      then try_cast(upper("timestamp"[1:17]) || '59.999999' || upper(regexp_extract("timestamp"[20:], '([Zz]|[+-].*)?$'))
        as timestamptz)
      when contains("timestamp", 't') or contains("timestamp", 'z')
      then try_cast(upper("timestamp") as timestamptz)
      else try_cast("timestamp" as timestamptz)
    end as instant
  from shaped
),

judged as (
  select
    *,
    case
      when reason is not null
      then reason
      when exported_from = 'auditlake.self'
      then 'a source that auditlake alone writes: ' || exported_from
      when not list_contains($sources, exported_from)
      then 'exported from another source: ' || exported_from
      when event_type is null
      then $untyped
      when not list_contains($event_types, event_type)
      then 'unknown event type: ' || event_type
      when "timestamp" is null
      then 'timestamp is missing'
      when instant is null and not regexp_full_match("timestamp", '(\+\d{5,}|-\d{4,})-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z')
      then 'not a time'
      when instant is null or epoch_us(instant) < 0 or epoch_us(instant) >= 253370764800000000
      then 'a time outside of 1970 to 9998'
    end as verdict
  from timed
)

select
  record,
  event_number,
  event_id,
  event_type,
  instant as "timestamp",
  user_id,
  action,
  resource,
  status,
  case when $verbatim then cast(json(details) as varchar) else details end as details,
  metadata,
  session_id,
  ip_address,
  coalesce(exported_from, $source) as source,
  epoch_us(instant) // 86400000000 as event_day,
  skipped,
  reason as fault,
  verdict as reason,
  case
    when verdict is null or reason is not null
    then null
    when not list_contains($sources, exported_from)
    then exported_from
    when not coalesce(list_contains($event_types, event_type), false)
    then event_type
    when instant is null or epoch_us(instant) < 0 or epoch_us(instant) >= 253370764800000000
    then "timestamp"
  end as refused_value
from judged;

-- name: keep_places()
insert into places
select record, "lines", offsets, lengths
from new_places;

-- name: keep_digests($source)
-- The digests of what is `unidentified`, over exactly the bytes of its records: `raws` has each record's text, perhaps
-- with white space behind it.
insert into digests
select
  nameless.seq,
  nameless.record,
  nameless.event_number,
  $source as source,
  sha256(encode(raws."text")[1:raws.byte_length]) as digest
from raws
join (
  select seq, record, event_number
  from unidentified
  where event_id is null
) as nameless on raws.record = nameless.record;

-- name: keep_earlier_digests($source)
-- The same of the bytes that an earlier version took.
insert into earlier_digests
select
  nameless.seq,
  nameless.record,
  nameless.event_number,
  $source as source,
  sha256(encode(raws."text")[1:raws.byte_length]) as digest
from raws
join (
  select seq, record, event_number
  from unidentified
  where event_id is null
) as nameless on raws.record = nameless.record;

-- name: spilled()
-- Where mapped records wait that find no room in memory. No temporary table: each of the writers has a connection of its
-- own.
create or replace table spilled (
  seq bigint,
  record bigint,
  event_id varchar,
  event_type varchar,
  "timestamp" timestamptz,
  user_id varchar,
  action varchar,
  resource varchar,
  status varchar,
  details varchar,
  metadata varchar,
  session_id varchar,
  ip_address varchar,
  source varchar,
  event_day bigint
);

-- name: spill()
insert into spilled
from arriving;

-- name: spilled_rows($day, $first, $last)
-- Those of one day with these numbers.
select *
from spilled
where event_day = $day
  and seq between $first and $last;

-- name: staged()
-- All mapped records.
create or replace temp view staged as
from held
union all
from spilled;
