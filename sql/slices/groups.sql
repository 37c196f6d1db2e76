-- name: parted($types)
-- The governed events, each with the text of its group: events of one group go to one part. The slot `text_of_group` is that
-- of leaf.sql. The statements of sql/policies are run over each part, in DuckDB.
select
  *,
  text_of_group as part
from events
where list_contains($types, event_type);

-- name: one_part($parts, $number)
-- The events of one of so many parts, numbered from 0, where parts have their turn in one process.
select *
from parted
where hash(part) % $parts = $number;

-- name: behind_peaks()
-- Between which instants the events behind the peak of each episode lie, of the table that a measure makes for the page.
-- returns: group_key, starts, from_t, peak_at (all in microseconds)
select
  group_key,
  cast(starts as bigint) as starts,
  cast(from_t as bigint) as from_t,
  cast(peak_at as bigint) as peak_at
from shown;
