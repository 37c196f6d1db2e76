-- name: retention($types, $type_cutoffs, $cutoff)
-- Question 3 for one policy where every cutoff is a midnight and nothing is on hold: whole days are older than a cutoff
-- or are not. Its governed events older than its own cutoff, each counted once; an event is due when the longest
-- retention of all policies that name its type has passed ($type_cutoffs has that cutoff for each of $types).
-- returns: held, kept_by_other_policies, due
select
  0 as held,
  cast(coalesce(sum(events_ever) filter (not expired), 0) as bigint) as kept_by_other_policies,
  cast(coalesce(sum(events_ever) filter (expired), 0) as bigint) as due
from (
  select
    events_ever,
    day * 86400000000 < epoch_us(list_extract($type_cutoffs, list_position($types, event_type))) as expired
  from type_days
  where day * 86400000000 < epoch_us($cutoff)
);
