-- name: monitored($types, $start, $end, $users, $actions, $resources, $statuses, $sessions, $addresses, $limit, $offset)
-- Events as LLMGuardian's monitor gives them (a null filter is none), in time order. start and end are inclusive.
-- $addresses also finds what is no address and is therefore kept in metadata.
-- returns: event_type, timestamp, user_id, action, resource, status, details, metadata, session_id, ip_address,
--          event_id, source
select
  event_type,
  "timestamp",
  user_id,
  action,
  resource,
  status,
  details,
  metadata,
  session_id,
  coalesce(ip_address, json_extract_string(metadata, '$._ip_address')) as ip_address,
  event_id,
  source
from events
where ($types is null or list_contains($types, event_type))
  and ($start is null or "timestamp" >= $start)
  and ($end is null or "timestamp" <= $end)
  and ($users is null or list_contains($users, user_id))
  and ($actions is null or list_contains($actions, action))
  and ($resources is null or list_contains($resources, resource))
  and ($statuses is null or list_contains($statuses, status))
  and ($sessions is null or list_contains($sessions, session_id))
  and (
    $addresses is null
    or list_contains($addresses, coalesce(ip_address, json_extract_string(metadata, '$._ip_address')))
  )
order by "timestamp", source, event_id
limit $limit
offset $offset;
