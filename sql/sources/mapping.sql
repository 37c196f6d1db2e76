-- The steps of a mapping's statement, each of which reads the one before it. What is named slot_… is filled in from the
-- mapping's file: lists of columns, paths as texts, conditions.

-- name: opened()
-- The records as they are.
select record, "text", cast(null as varchar) as envelope_reason
from records;

-- name: unwrapped()
-- The record that is the text of a field of another, its envelope; of several fields the first that is there counts. A
-- record without these fields is itself; it is its own envelope where they are null. One look at the record finds what
-- the mapping reads of it, these fields, and what the mapping reads of an envelope: of most records only the first. Only
-- what has one of the others is looked at again. DuckDB's JSON also takes NaN, Infinity and trailing commas: they are
-- looked for in what is left when every string is replaced by 0.
select
  *,
  case when is_itself then written else inner_json(inside) end as "text",
  case when is_envelope then written end as envelope
from (
  select *, inside is null or envelope_reason is not null as is_itself
  from (
    select
      *,
      case
        when inside is null then null
        when not json_valid(inside) then 'the record inside is not valid JSON: ' || slot_field
        when regexp_matches(regexp_replace(inside, '"(?:[^"\\]|\\.)*"', '0', 'g'), '(?i)nan|inf|,\s*[\]}]')
          then 'the record inside is not valid JSON: ' || slot_field
        when json_type(inside) <> 'OBJECT' then 'the record inside is not a JSON object: ' || slot_field
        when len(json_keys(inside)) <> len(list_distinct(json_keys(inside)))
          then 'the record inside has a key twice: ' || slot_field
      end as envelope_reason
    from (
      select *, slot_inside as inside, case when slot_may_have then slot_has end as is_envelope
      from (
        select record, "text" as written, values_at("text", slot_paths) as found
        from records
      )
    )
  )
);

-- name: parsed()
-- The one look at a record: every place that the mapping reads.
select *, values_at("text", slot_paths) as p
from opened;

-- name: parsed_inside()
-- The same of records that may lie in others. Where none of them does, nothing is looked at twice.
select *, case when is_itself then found else values_at("text", slot_paths) end as p
from opened;

-- name: enveloped()
select *, values_at(envelope, slot_paths) as e
from parsed;

-- name: itemised()
-- The elements of each record's list. A record without one is one event. The text is not carried along: it may be long.
select *, values_at(item, slot_paths) as i
from (
  select record, unnest(items) as item, generate_subscripts(items, 1) - 1 as item_number
  from (
    select record, case when len(listed) > 0 then listed else [cast(null as json)] end as items
    from (
      select record, try(json_extract("text", slot_each)) as listed
      from opened
    )
  )
);

-- name: emptied()
-- What is around the list, in which an element takes the place of the list.
select record, try(cast(json_merge_patch("text", slot_without) as varchar)) as around
from opened;

-- name: joined()
select parsed.* exclude ("text"), itemised.* exclude (record)
from parsed
join itemised using (record);

-- name: named()
select *, slot_columns
from parsed;

-- name: called()
select *, slot_columns
from named;

-- name: mapped()
-- What is left out needs no record inside it: then it is looked at itself.
select
  record,
  slot_number as event_number,
  slot_event_id as event_id,
  slot_event_type as event_type,
  slot_timestamp as "timestamp",
  slot_user_id as user_id,
  slot_action as "action",
  slot_resource as resource,
  slot_status as status,
  slot_details as details,
  slot_metadata as metadata,
  slot_session_id as session_id,
  slot_ip_address as ip_address,
  slot_skipped as skipped,
  case
    when envelope_reason is not null then case when slot_skipped is null then envelope_reason end
    when slot_unreadable then 'not valid JSON'
    else coalesce(slot_misplaced, slot_missing)
  end as reason
from called
where slot_applies;
