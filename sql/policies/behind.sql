-- name: group_numbers()
-- The groups of the last evaluation by their numbers. To be run after rolling_counts.
select g, group_key
from groups;

-- name: behind_episodes($types)
-- The events behind episodes: those that count at any moment of one. To be run after rolling_counts, whose temporary
-- table groups it reads, with the episodes in the temporary table asked(number, g, after, until).
-- The slots are those of arrivals.
select
  asked.number,
  columns(events.*)
from asked
join groups on asked.g = groups.g
join events
  on key_of_group = groups.group_key
    and events."timestamp" > asked.after
    and events."timestamp" <= asked.until
where list_position($types, events.event_type) > 0
  and coalesce(try(predicate), false)
order by asked.number, events."timestamp", events.batch, events.seq;

-- name: beside_gaps()
-- The events before and after gaps, which are in the temporary table asked(number, event_type, after, until).
select
  asked.number,
  columns(events.*)
from asked
join events
  on asked.event_type = events.event_type
    and (events."timestamp" = asked.after or events."timestamp" = asked.until)
order by asked.number, events."timestamp", events.batch, events.seq;
