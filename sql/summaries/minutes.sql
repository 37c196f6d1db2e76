-- name: minutes()
-- The events of each data file by type, source and minute.
-- returns: file_index, event_type, source, minute, events, first_event, last_event
select
  file_index,
  event_type,
  source,
  epoch_us("timestamp") // 60000000 as "minute",
  count(*) as events,
  min(epoch_us("timestamp")) as first_event,
  max(epoch_us("timestamp")) as last_event
from events
group by file_index, event_type, source, "minute"
order by file_index, event_type, source, "minute";
