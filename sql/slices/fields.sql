-- name: lacking($types)
-- A leaf whose group is what an event lacks: its source and the fields, as the bits of a number. The slots are those of
-- sql/policies/field_counts.sql.
select
  event_type,
  epoch_us("timestamp") as t,
  1 as verdict,
  cast(to_json([source, cast(lacking_of_event as varchar)]) as varchar) as g,
  0 as held
from (
  select
    *,
    values_of_details as details_values,
    values_of_metadata as metadata_values
  from events
  where list_contains($types, event_type)
) as opened;

-- name: field_counts($since_us, $until_us)
-- How many events of the period there are by type and by what they lack, and when the first and the last of them are.
-- returns: event_type, g, events, first, last
select
  event_type,
  g,
  count(*) as events,
  min(t),
  max(t)
from leaf
where t > $since_us
  and t <= $until_us
group by event_type, g;
