-- A day is the partition that an event lies in, which is what is dropped or written anew, whatever its timestamp says.

-- name: judged($types, $cutoffs, $default_cutoff)
-- Every event once, by day and type: held by an active hold; else due, where the longest retention of its type has passed
-- ($cutoffs has that cutoff for each of $types, $default_cutoff the one of every other type, null for never).
-- The slot `on_hold` is filled in the syntax tree with the condition of the active holds.
-- returns: day, event_type, events, held, due
with judged as (
  select
    event_date - date '1970-01-01' as day,
    event_type,
    on_hold as is_held,
    coalesce(
      "timestamp" < case
        when list_contains($types, event_type)
        then list_extract(cast($cutoffs as timestamptz[]), list_position($types, event_type))
        else cast($default_cutoff as timestamptz)
      end,
      false
    ) as is_expired
  from events
)

select
  day,
  event_type,
  count(*) as events,
  count(*) filter (is_held) as held,
  count(*) filter (not is_held and is_expired) as due
from judged
group by day, event_type
order by day, event_type;

-- name: whole_days()
-- The same where nothing is held: by day and type, with the bounds that tell for most whether all or none are due.
-- returns: day, event_type, events, first, last
select
  event_date - date '1970-01-01' as day,
  event_type,
  count(*) as events,
  min("timestamp") as first_event,
  max("timestamp") as last_event
from events
group by day, event_type
order by day, event_type;

-- name: held_by()
-- How many events each hold keeps, by day; an event under several is counted for each.
-- The slot `holds_of_event` is filled with a list of the numbers of the holds that an event is under.
-- returns: day, hold, events
select
  day,
  hold,
  count(*) as events
from (
  select
    event_date - date '1970-01-01' as day,
    unnest(holds_of_event) as hold
  from events
)
where hold is not null
group by day, hold
order by day, hold;

-- name: over_limit($types, $cutoffs, $default_cutoff, $limited_types, $limits, $last_limit, $as_of, $check_key, $in_details, $told_details, $above_details, $in_metadata, $told_metadata, $above_metadata, $nobody)
-- Events that stay but whose personal data has been kept for as long as it may: neither held nor due, older than the
-- limit of their type ($limits has it for each of $limited_types, $last_limit is the last of them: no later file is read).
-- Those that surely name somebody, in a column or by an
-- id that can be guessed, are counted. Those that have no more than something at a place in JSON ($in_details), or a list
-- or a key that comes twice on the way to one ($above_details), come with their texts: whether that is a name is for
-- auditlake/events/personal.py.
-- At places of sources ($in_details) something may stand that is $nobody; at those that somebody named, whatever does counts.
-- returns: day, event_type, source, resource, details, metadata (null where the event is sure), events
with staying as (
  select
    *,
    event_date - date '1970-01-01' as day,
    list_filter([user_id, ip_address, session_id], lambda text: text is not null) as fields
  from events
  where list_contains($limited_types, event_type)
    and "timestamp" <= $as_of
    and "timestamp" < $last_limit
    and "timestamp" < list_extract(cast($limits as timestamptz[]), list_position($limited_types, event_type))
    and not on_hold
    and not coalesce(
      "timestamp" < case
        when list_contains($types, event_type)
        then list_extract(cast($cutoffs as timestamptz[]), list_position($types, event_type))
        else cast($default_cutoff as timestamptz)
      end,
      false
    )
),

judged as (
  select
    *,
    len(list_filter(
      fields,
      lambda text: coalesce(
        not (
          starts_with(text, 'pseudonym-')
          and len(text) = 50
          and left(sha256(cast($check_key as varchar) || substr(text, 11, 32)), 8) = right(text, 8)
        ),
        true
      )
    )) > 0
    or (len(fields) > 0 and regexp_full_match(event_id, '[0-9a-f]{64}')) as is_named
  from staying
),

doubted as (
  select
    *,
    not is_named and (
      case
        when json_valid(details)
        then list_contains(json_type(details, $above_details), 'ARRAY') or len(list_filter(
          json_keys(details, $above_details),
          lambda keys: len(keys) > len(list_distinct(keys))
        )) > 0 or len(list_filter(
          list_concat(
            list_filter(json_extract_string(details, $in_details), lambda text: not regexp_full_match(text, $nobody)),
            json_extract_string(details, $told_details)
          ),
          lambda text: text is not null and coalesce(
            not (
              starts_with(text, 'pseudonym-')
              and len(text) = 50
              and left(sha256(cast($check_key as varchar) || substr(text, 11, 32)), 8) = right(text, 8)
            ),
            true
          )
        )) > 0
        else false
      end
      or case
        when json_valid(metadata)
        then list_contains(json_type(metadata, $above_metadata), 'ARRAY') or len(list_filter(
          json_keys(metadata, $above_metadata),
          lambda keys: len(keys) > len(list_distinct(keys))
        )) > 0 or len(list_filter(
          list_concat(
            list_filter(json_extract_string(metadata, $in_metadata), lambda text: not regexp_full_match(text, $nobody)),
            json_extract_string(metadata, $told_metadata)
          ),
          lambda text: text is not null and coalesce(
            not (
              starts_with(text, 'pseudonym-')
              and len(text) = 50
              and left(sha256(cast($check_key as varchar) || substr(text, 11, 32)), 8) = right(text, 8)
            ),
            true
          )
        )) > 0
        else false
      end
    ) as is_doubtful
  from judged
)

select
  day,
  event_type,
  case when is_doubtful then source end as source,
  case when is_doubtful then resource end as resource,
  case when is_doubtful then details end as details,
  case when is_doubtful then metadata end as metadata,
  count(*) as events
from doubted
where is_named or is_doubtful
group by all
order by day, event_type;
