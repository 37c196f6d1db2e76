-- name: limit()
-- How much DuckDB may hold in memory, by itself or as lake.toml says.
-- returns: bytes
select parse_formatted_bytes(current_setting('memory_limit')) as bytes;

-- name: types()
-- How many events there are of each type: so many may count in a policy.
-- returns: event_type, events
select event_type, count(*) as events
from events
group by event_type;
