-- name: parsed()
-- Texts are expected to be JSON: one that is not is an error of the whole statement.
create temp macro if not exists if_json(parsed) as parsed;

-- name: parsed_or_null()
-- From the first on that is not: it has no fields. To be ready for that takes DuckDB longer.
create or replace temp macro if_json(parsed) as try(parsed);

-- name: parsed_fields()
-- The fields of a text; of a key that comes twice DuckDB takes the first.
create or replace temp macro parsed_fields(json_text) as if_json(json_transform(
  json_text,
  '{"event_id":"VARCHAR","event_type":"VARCHAR","timestamp":"VARCHAR","user_id":"VARCHAR","action":"VARCHAR",'
  || '"resource":"VARCHAR","status":"VARCHAR","details":"JSON","metadata":"JSON","session_id":"VARCHAR",'
  || '"ip_address":"VARCHAR"}'
));

-- name: plain()
-- What is `loaded` of most that programs write: all fields in their order, no space between them and nothing escaped.
-- Where the fields put together again are the text, there is nothing else in it. What DuckDB alone takes for a number may
-- still be inside of a field.
-- returns: record, event_id, event_type, timestamp, user_id, action, resource, status, details, metadata, session_id,
--          ip_address
with fields as (
  select
    record,
    "text",
    parsed_fields("text") as f
  from loaded
  where starts_with("text", '{"event_id":"')
)

select
  record,
  nullif(f.event_id, '') as event_id,
  f.event_type as event_type,
  f."timestamp" as "timestamp",
  f.user_id as user_id,
  f.action as action,
  f.resource as resource,
  f.status as status,
  cast(f.details as varchar) as details,
  cast(f.metadata as varchar) as metadata,
  f.session_id as session_id,
  f.ip_address as ip_address
from fields
where starts_with("text", concat(
    '{"event_id":"', f.event_id, '","event_type":"', f.event_type, '","timestamp":"', f."timestamp",
    if(f.user_id is null, '","user_id":null', '","user_id":"'), f.user_id,
    if(f.user_id is null, ',"action":', '","action":'),
    if(f.action is null, 'null', '"'), f.action,
    if(f.action is null, ',"resource":', '","resource":'),
    if(f.resource is null, 'null', '"'), f.resource,
    if(f.resource is null, ',"status":', '","status":'),
    if(f.status is null, 'null', '"'), f.status,
    if(f.status is null, ',"details":', '","details":'),
    coalesce(f.details, 'null'), ',"metadata":', coalesce(f.metadata, 'null'), ',"session_id":',
    if(f.session_id is null, 'null', '"'), f.session_id,
    if(f.session_id is null, ',"ip_address":', '","ip_address":'),
    if(f.ip_address is null, 'null', '"'), f.ip_address,
    if(f.ip_address is null, '}', '"}')
  ));

-- name: stays()
-- Whether a text is JSON that DuckDB writes as it is.
create or replace temp macro stays(t) as case
  when is_json(t) and json_valid(t)
  then cast(json(t) as varchar) = t
  else t is null
end;

-- name: plain_fields()
-- Whether `loaded_fields` have nothing else in details and metadata than such JSON.
-- returns: are_plain
select stays(details) and stays(metadata) as are_plain
from loaded_fields;

-- name: keyed()
-- What is `loaded`, with the fields of each record, and its keys.
create or replace temp view keyed as
select
  record,
  "text",
  parsed_fields("text") as f,
  try(json_keys("text")) as present
from loaded;

-- name: auditlake()
-- Canonical events, one JSON object each: the fields of the event by their own names (LLMGuardian's audit_*.jsonl has
-- the same). A field that is absent or null is null; a number or a boolean where text belongs becomes its JSON text.
-- Unknown top-level fields are kept in metadata under _extra. An event that a lake exported has every field of an event,
-- and source and ingested_at beside them: those are the lake's, and the former says which mapping made the event.
-- returns: record, event_id, event_type, timestamp, user_id, action, resource, status, details, metadata, session_id,
--          ip_address, exported_from, reason
-- Text that begins with a bracket may be an object or array that was turned into text: look at those again.
with judged as (
  select
    record,
    "text",
    f,
    case
      when present is null
      then null
      when f.event_id like '{%' or f.event_id like '[%'
        or f.event_type like '{%' or f.event_type like '[%'
        or f."timestamp" like '{%' or f."timestamp" like '[%'
        or f.user_id like '{%' or f.user_id like '[%'
        or f.action like '{%' or f.action like '[%'
        or f.resource like '{%' or f.resource like '[%'
        or f.status like '{%' or f.status like '[%'
        or f.session_id like '{%' or f.session_id like '[%'
        or f.ip_address like '{%' or f.ip_address like '[%'
      then list_filter(
        [
          'event_id', 'event_type', 'timestamp', 'user_id', 'action', 'resource', 'status', 'session_id', 'ip_address'
        ],
        lambda key: json_type("text", '/' || key) in ('OBJECT', 'ARRAY')
      )
    end as misplaced,
    -- As many keys as fields with a value: then each is one of the fields, and none comes twice.
    case
      when len(present) = 11
        - (f.event_id is null)::tinyint - (f.event_type is null)::tinyint - (f."timestamp" is null)::tinyint
        - (f.user_id is null)::tinyint - (f.action is null)::tinyint - (f.resource is null)::tinyint
        - (f.status is null)::tinyint - (f.details is null)::tinyint - (f.metadata is null)::tinyint
        - (f.session_id is null)::tinyint - (f.ip_address is null)::tinyint
      then null
      when present = [
        'event_id', 'event_type', 'timestamp', 'user_id', 'action', 'resource', 'status', 'details', 'metadata',
        'session_id', 'ip_address'
      ]
      then null
      else present
    end as doubtful
  from records
),

-- Whether those keys are the ones of what a lake exported, and perhaps more.
told as (
  select
    *,
    list_has_all(doubtful, [
      'event_id', 'event_type', 'timestamp', 'user_id', 'action', 'resource', 'status', 'details', 'metadata',
      'session_id', 'ip_address', 'source', 'ingested_at'
    ]) as is_exported
  from judged
),

-- Of the others: the first key that comes twice, and the keys that are no field.
known as (
  select
    record,
    "text",
    f,
    misplaced,
    case
      when list_unique(doubtful) <> len(doubtful)
      then list_filter(doubtful, lambda key: len(list_filter(doubtful, lambda other: other = key)) > 1)[1]
    end as repeated,
    case
      when is_exported
      then coalesce(json_extract_string("text", '$.source'), '')
    end as exported_from,
    list_filter(
      doubtful,
      lambda key: not list_contains(
        [
          'event_id', 'event_type', 'timestamp', 'user_id', 'action', 'resource', 'status', 'details', 'metadata',
          'session_id', 'ip_address'
        ],
        key
      )
      and not (is_exported and list_contains(['source', 'ingested_at', 'event_date'], key))
    ) as unknown
  from told
),

-- The unknown fields as the text of a JSON object, in the order in which they came.
extended as (
  select
    record,
    f,
    misplaced,
    repeated,
    exported_from,
    case
      when len(unknown) > 0
      then '{' || array_to_string(
        list_transform(
          unknown,
          lambda key: cast(to_json(key) as varchar) || ':'
          || cast(json_extract("text", '/' || replace(replace(key, '~', '~0'), '/', '~1')) as varchar)
        ),
        ','
      ) || '}'
    end as extra
  from known
)

select
  record,
  nullif(f.event_id, '') as event_id,
  f.event_type as event_type,
  f."timestamp" as "timestamp",
  f.user_id as user_id,
  f.action as action,
  f.resource as resource,
  f.status as status,
  cast(f.details as varchar) as details,
  case
    when extra is null
    then cast(f.metadata as varchar)
    when f.metadata is null or f.metadata = '{}'
    then '{"_extra":' || extra || '}'
    when json_type(f.metadata) = 'OBJECT' and not json_exists(f.metadata, '/_extra')
    then left(cast(f.metadata as varchar), -1) || ',"_extra":' || extra || '}'
    else '{"_value":' || cast(f.metadata as varchar) || ',"_extra":' || extra || '}'
  end as metadata,
  f.session_id as session_id,
  f.ip_address as ip_address,
  exported_from,
  case
    when repeated is not null
    then 'repeated key: ' || repeated
    when len(misplaced) > 0
    then 'an object or array where text belongs: ' || misplaced[1]
  end as reason
from extended;

-- name: is_json()
-- Whether a text is taken for JSON because of how it begins.
create or replace temp macro is_json(t) as (t like '{%' or t like '[%');

-- name: json_of_row()
-- The JSON that a column of a table has: a text that begins with a bracket, and every text of what a lake exported, is
-- JSON; any other text is a text. Null where only a look at the row as JSON tells what it is.
create or replace temp macro json_of_row(t, is_exported) as case
  when is_json(t)
  then case
    when json_valid(t) and (
      not is_suspect(t)
      or (
        not regexp_matches(t, '[:\[,]\s*-?(?i:nan|inf)')
        and not regexp_matches(t, ',\s*[\]}]')
        and not rewrites_numbers(t)
      )
    )
    then cast(json(t) as varchar)
  end
  when not is_exported and not regexp_matches(
    t, '^[\s\v\x{1c}-\x{1f}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]'
  )
  then cast(to_json(t) as varchar)
end;

-- name: fields()
-- Canonical events that came as columns, as `auditlake` gives those that came as JSON: without those whose details or
-- metadata `json_of_row` leaves open.
-- returns: record, event_id, event_type, timestamp, user_id, action, resource, status, details, metadata, session_id,
--          ip_address, exported_from, reason
create or replace temp view mapped_fields as
with shaped as (
  select
    * replace (
      json_of_row(details, exported_from is not null) as details,
      json_of_row(metadata, exported_from is not null) as metadata
    ),
    details is not null as has_details,
    metadata is not null as has_metadata
  from loaded_fields
)

select
  record,
  nullif(event_id, '') as event_id,
  event_type,
  "timestamp",
  user_id,
  action,
  resource,
  status,
  details,
  metadata,
  session_id,
  ip_address,
  exported_from,
  cast(null as varchar) as reason
from shaped
where has_details = (details is not null)
  and has_metadata = (metadata is not null);

-- name: with_fields()
-- Events that came as JSON and events that came as columns.
create or replace temp view mapped as
from mapped_texts
union all by name
from mapped_fields;
