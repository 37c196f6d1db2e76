-- name: moments($types)
-- The type and the time of every governed event: read once from the files, asked several times. A run that judges many
-- policies reads for all of them together; each later step names its own types.
create or replace temp table moments as
select event_type, "timestamp"
from events
where list_contains($types, event_type);
