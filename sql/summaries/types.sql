-- name: type_counts()
-- The events of each data file by type and source.
-- returns: file_index, event_type, source, events, first_event, last_event
select
  file_index,
  event_type,
  source,
  count(*) as events,
  min("timestamp") as first_event,
  max("timestamp") as last_event
from events
group by file_index, event_type, source
order by file_index, event_type, source;
