-- name: field_counts($types, $since, $until)
-- How complete the fields are that a policy asks for: the governed events of the period by type, source and which fields
-- they lack, as the bits of a number. The slots `values_of_details` and `values_of_metadata` are filled with the texts at
-- the places that fields name, null where nothing is, and `lacking_of_event` with that number.
-- returns: event_type, source, lacking, events, first, last
with opened as (
  select
    *,
    values_of_details as details_values,
    values_of_metadata as metadata_values
  from events
  where list_contains($types, event_type)
    and "timestamp" > $since
    and "timestamp" <= $until
),

judged as (
  select
    event_type,
    source,
    "timestamp",
    lacking_of_event as lacking
  from opened
)

select
  event_type,
  source,
  lacking,
  count(*) as events,
  min("timestamp") as first,
  max("timestamp") as last
from judged
group by event_type, source, lacking
order by event_type, source, lacking;
