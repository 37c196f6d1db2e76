-- Numbers keep their digits: how records get past DuckDB's JSON, which writes them again as doubles, and how versions that
-- let it do so would have spelled an event.

-- name: numbers()
-- DuckDB writes the numbers of JSON again as doubles, which changes many; so does a text that is made of one. Where it
-- would, each number travels as a text behind a mark that no input can know (the variable `mark`), and comes out as it
-- was. Most numbers are told by their look to be safe: few digits, no exponent, no zero at the end. Only the others, few,
-- are written to see what becomes of them. What looks like a number inside of a text costs no more than time.
create or replace temp macro rewrites_numbers(json_text) as
  regexp_matches(
    json_text,
    '(?:"\s*:|[\[,])\s*(?:-?(?:[0-9]+(?:\.[0-9]+)?[eE]|[0-9]\.[0-9]{15}|[0-9]{2,5}\.[0-9]{11}|[0-9]{6,9}\.[0-9]{7}'
    || '|[0-9]{10,}\.[0-9]|[0-9]+\.[0-9]+0[^0-9]|0\.0000)|-0[,\]}\s])'
  )
  and len(list_filter(
    regexp_extract_all(
      json_text, '(?:"\s*:|[\[,])\s*(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)', 1
    ),
    lambda number: cast(json(number) as varchar) <> number
    or (regexp_matches(number, '[.eE]') and cast(try_cast(number as double) as varchar) is distinct from number)
  )) > 0;

-- name: suspects()
-- Whether a text may hold anything that DuckDB reads otherwise than it is: such a number, NaN, Infinity, a trailing comma.
-- One look at the whole text; most have none of it, and need no other.
create or replace temp macro is_suspect(json_text) as regexp_matches(
  json_text,
  '[:\[,]\s*(?:-?(?i:nan|inf)|[\]}]|-?[0-9]+(?:\.[0-9]+)?[eE]|-?[0-9]\.[0-9]{15}|-?[0-9]{2,5}\.[0-9]{11}'
  || '|-?[0-9]{6,9}\.[0-9]{7}|-?[0-9]{10,}\.[0-9]|-?[0-9]+\.[0-9]+0[^0-9]|-?0\.0000|-0[,\]}\s])'
);

-- name: marked_numbers()
create or replace temp macro marked_numbers(json_text) as replace(
  regexp_replace(
    json_text,
    '("(?:[^"\\]|\\.)*")|(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)',
    '\1"' || getvariable('mark') || '\2"',
    'gs'
  ),
  '"' || getvariable('mark') || '"',
  ''
);

-- name: mark($mark)
set variable mark = $mark;

-- name: inner_numbers_as_they_are()
-- What a mapping does with the JSON that it finds inside of a text.
create or replace temp macro inner_json(json_text) as json_text;

-- name: inner_numbers_marked()
create or replace temp macro inner_json(json_text) as marked_numbers(json_text);

-- name: values_as_they_are()
-- The values that a mapping reads out of a record. The caller has made sure that the text is JSON: `TRY` would copy every
-- value.
create or replace temp macro values_at(json_text, places) as json_extract_string(json_text, places);

-- name: values_or_null()
-- The same where a text is no JSON after all.
create or replace temp macro values_at(json_text, places) as try(json_extract_string(json_text, places));

-- name: values_unmarked()
create or replace temp macro values_at(json_text, places) as list_transform(
  try(json_extract_string(json_text, places)), lambda value: replace(regexp_replace(value, '"' || getvariable('mark') || '([^"]*)"', '\1', 'g'), getvariable('mark'), '')
);

-- name: marked()
-- The same records with their numbers marked.
-- returns: record, text
select
  record,
  marked_numbers("text") as "text"
from loaded;

-- name: spelled()
-- What a canonical mapping, `unspelled`, made of marked numbers, with the numbers as they came.
create or replace temp view mapped as
select
  * replace (
    replace(event_id, getvariable('mark'), '') as event_id,
    replace(event_type, getvariable('mark'), '') as event_type,
    replace("timestamp", getvariable('mark'), '') as "timestamp",
    replace(user_id, getvariable('mark'), '') as user_id,
    replace(action, getvariable('mark'), '') as action,
    replace(resource, getvariable('mark'), '') as resource,
    replace(status, getvariable('mark'), '') as status,
    regexp_replace(details, '"' || getvariable('mark') || '([^"]*)"', '\1', 'g') as details,
    regexp_replace(metadata, '"' || getvariable('mark') || '([^"]*)"', '\1', 'g') as metadata,
    replace(session_id, getvariable('mark'), '') as session_id,
    replace(ip_address, getvariable('mark'), '') as ip_address,
    replace(exported_from, getvariable('mark'), '') as exported_from,
    replace(reason, getvariable('mark'), '') as reason
  )
from unspelled;

-- name: spelled_verbatim()
-- The same of any other mapping: its details are the vendor's event, and its metadata has texts of its own making.
create or replace temp view mapped as
select
  * replace (
    replace(event_id, getvariable('mark'), '') as event_id,
    replace(event_type, getvariable('mark'), '') as event_type,
    replace("timestamp", getvariable('mark'), '') as "timestamp",
    replace(user_id, getvariable('mark'), '') as user_id,
    replace(action, getvariable('mark'), '') as action,
    replace(resource, getvariable('mark'), '') as resource,
    replace(status, getvariable('mark'), '') as status,
    regexp_replace(
      cast(json(details) as varchar), '"' || getvariable('mark') || '([^"]*)"', '\1', 'g'
    ) as details,
    replace(metadata, getvariable('mark'), '') as metadata,
    replace(session_id, getvariable('mark'), '') as session_id,
    replace(ip_address, getvariable('mark'), '') as ip_address,
    replace(reason, getvariable('mark'), '') as reason
  )
from unspelled;

-- name: spelled_otherwise()
-- The events that an earlier version would have spelled in another way than they are now, as it would have.
-- returns: record, event_id, event_type, timestamp, user_id, action, resource, status, details, metadata, session_id,
--          ip_address
select * exclude (event_number, source, event_day, reason, refused_value, skipped, fault)
from (from spelled_before except from spelled_now)
where reason is null;

-- name: earlier()
-- Events as an earlier version would have spelled them, where that is another way.
create or replace temp table earlier (
  seq bigint,
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
  ip_address varchar
);

-- name: keep_earlier()
insert into earlier
from arriving;

-- name: earlier_digests()
-- Where an earlier version made the id from other bytes: their digests.
create or replace temp table earlier_digests (
  seq bigint,
  record bigint,
  event_number bigint,
  source varchar,
  digest varchar
);
