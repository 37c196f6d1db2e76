-- name: days($source)
-- How many events of a source each day has, the newest first.
-- returns: event_date, events
select event_date, count(*) as events
from events
where source = $source
group by event_date
order by event_date desc;

-- name: seen($source, $since, $paths)
-- In how many events of a source there is each field; values_of_fields is a list with the count of each.
-- returns: events, seen
with opened as (
  select *, json_extract_string(details, $paths) as found
  from events
  where source = $source and event_date >= $since
)
select count(*) as events, values_of_fields as seen
from opened;

-- name: total()
-- How many events the lake has.
-- returns: events
select count(*) as events
from events;
