-- name: scope_unknown($since_us, $until_us)
-- Of a leaf whose condition is a policy's scope: the events of the period on which it is null or fails.
-- returns: events
select cast(coalesce(sum(case when verdict = 0 or verdict = 1 then 0 else 1 end), 0) as bigint)
from leaf
where t > $since_us
  and t <= $until_us;

-- name: oldest_event($as_of_us)
-- The oldest governed event up to as_of, in scope or not.
-- returns: oldest
select min(t)
from leaf
where t <= $as_of_us;
