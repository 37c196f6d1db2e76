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

-- name: everything()
-- When each event of the lake was, and whether it is one of auditlake's own; other engines make it by their own means.
create or replace temp view everything as
select
  epoch_us("timestamp") as t,
  case when source = 'auditlake.self' then 1 else 0 end as is_own
from events;

-- name: trial($types)
-- A leaf that is the same whatever the events are, to try an engine with.
select
  event_type,
  epoch_us("timestamp") as t,
  try(cast(user_id is null or user_id is not null as integer)) as verdict,
  '' as g,
  0 as held
from events
where list_contains($types, event_type);

-- name: matched()
-- returns: events
select count(*) as events
from leaf
where verdict = 1;
