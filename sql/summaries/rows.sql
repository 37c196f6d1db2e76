-- What a summary gives where it is counted from the rows of `events` themselves, and where files are counted as one.

-- name: numbered_events()
-- The events with a number of their day and stretch in the place of their file's. The slots are filled by
-- auditlake/engine/summed.py: `stretch_of_event` with how many of the instants that are asked about lie before the event,
-- `stretches` with how many stretches there are, `is_meant` with whether the event's day is one that counts.
create or replace temp view numbered_events as
select
  *,
  epoch_us("timestamp") // 86400000000 * stretches + stretch_of_event as file_index
from events
where is_meant;

-- name: laid_out()
-- The rows of a summary: the slot `counted` is filled with its statement over `numbered_events`, `laid_out` with its name.
create or replace temp table laid_out as
select
  file_index // stretches as day,
  file_index % stretches as stretch,
  * exclude (file_index)
from counted;

-- name: one_file()
-- Where what several data files give is added up: all their events as those of one. `file_events` is the view of them.
create or replace temp view events as
select * replace (cast(0 as ubigint) as file_index)
from file_events;
