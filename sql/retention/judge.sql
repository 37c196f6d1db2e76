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

-- name: over_limit($types, $cutoffs, $default_cutoff, $limited_types, $limits, $as_of, $check_key, $in_details, $in_metadata)
-- Events that stay but whose personal data has been kept for as long as it may: neither held nor due, older than the
-- limit of their type ($limits has it for each of $limited_types), with a personal field that is no pseudonym yet.
-- returns: day, event_type, events
with staying as (
  select
    event_date - date '1970-01-01' as day,
    event_type,
    list_concat(
      [user_id, ip_address, session_id],
      list_transform($in_details, lambda place: json_extract_string(details, place)),
      list_transform($in_metadata, lambda place: json_extract_string(metadata, place))
    ) as personal
  from events
  where list_contains($limited_types, event_type)
    and "timestamp" <= $as_of
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
)

select
  day,
  event_type,
  count(*) as events
from staying
where len(list_filter(
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
group by day, event_type
order by day, event_type;
