-- name: readable($types)
-- Where a condition could not be evaluated: whether all that it may read can be read.
-- returns: digest
select
  bit_xor(
    hash(
      event_id, event_type, "timestamp", user_id, action, resource, status, details, metadata, session_id, ip_address,
      source
    )
  ) as digest
from events
where list_contains($types, event_type);
