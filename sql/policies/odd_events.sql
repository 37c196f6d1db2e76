-- name: numbered($types)
-- Where a condition fails on some event in a way that TRY does not catch: the governed events, numbered, to find which.
create or replace temp table numbered as
select
  row_number() over () as n,
  *
from events
where list_contains($types, event_type);

-- name: how_many()
-- returns: events
select count(*) as events
from numbered;

-- name: tried($first, $last)
-- The condition on some of them. The slot `predicate` is filled with the policy's `where`.
-- returns: matching
select count(*) filter (try(predicate)) as matching
from numbered
where n > $first
  and n <= $last;

-- name: named($last)
-- returns: event_id
select event_id
from numbered
where n = $last;
