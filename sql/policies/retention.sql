-- name: retention($types, $type_cutoffs, $cutoff)
-- Question 3 for one policy: its governed events older than its own cutoff, each counted once. An event is due when the
-- longest retention of all policies that name its type has passed; $type_cutoffs has that cutoff for each of $types.
-- The slot `on_hold` is filled in the syntax tree with the condition of the active holds.
-- returns: held, kept_by_other_policies, due
select
  count(*) filter (is_held) as held,
  count(*) filter (not is_held and not expired) as kept_by_other_policies,
  count(*) filter (not is_held and expired) as due
from (
  select
    "timestamp" < list_extract($type_cutoffs, list_position($types, event_type)) as expired,
    on_hold as is_held
  from events
  where list_contains($types, event_type)
    and "timestamp" < $cutoff
);
