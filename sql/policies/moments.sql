-- name: moments()
-- The type and the time of every event: all that most steps need. A run that judges several policies keeps the governed
-- ones in memory under this name, instead of reading the files again for each.
create or replace temp view moments as
select event_type, "timestamp"
from events;

-- name: instants_in_memory($types)
-- The same, kept: the types of every policy that is asked. Each later step names its own types.
create or replace temp table instants_in_memory as
select event_type, "timestamp"
from events
where list_contains($types, event_type);

-- name: moments_kept()
-- What was kept, by the name that later steps read; always a view, so that one run may follow another.
create or replace temp view moments as
select event_type, "timestamp"
from instants_in_memory;
