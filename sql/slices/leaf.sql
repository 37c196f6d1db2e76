-- name: leaf($types)
-- What a policy needs to know of each governed event, in whole numbers and texts: all that depends on an engine. DuckDB
-- evaluates it everywhere, in the executors of a cluster over one batch of events after the other, so that a condition
-- means the same on each. An event that retention asks about may lie outside the scope (`in_scope` is 0); `verdict` is 1
-- where the condition is met, 0 where it is not, 2 where that is unknown, and null where it fails.
-- The slots are those of the statements in sql/policies; `text_of_group` is the group as one text, null where there is none.
select
  event_type,
  epoch_us("timestamp") as t,
  try(coalesce(cast(predicate as integer), 2)) as verdict,
  text_of_group as g,
  cast(on_hold as integer) as held
from events
where list_contains($types, event_type);
