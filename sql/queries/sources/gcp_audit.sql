-- name: gcp_audit_roles()
-- Who gave whom which role.
-- returns: timestamp, user_id, what, role, member
select timestamp, user_id, delta ->> '$.action' as what, delta ->> '$.role' as role, delta ->> '$.member' as member
from (
  select *, unnest(json_extract(details, '$.protoPayload.serviceData.policyDelta.bindingDeltas[*]')) as delta
  from events
  where source = 'gcp_audit' and event_type = 'permission_change'
)
order by timestamp;

-- name: gcp_audit_firewalls()
-- Firewall rules changed, each operation once.
-- returns: timestamp, user_id, action, resource, ip_address
select timestamp, user_id, action, resource, ip_address
from events
where source = 'gcp_audit' and event_type = 'network_change' and status = 'success' and action like '%firewall%';

-- name: gcp_audit_refused_accounts()
-- Service accounts that are refused most.
-- returns: user_id, action, denials, last
select user_id, action, count(*) as denials, max(timestamp) as last
from events
where source = 'gcp_audit' and event_type = 'access_denied' and metadata ->> 'actor_type' = 'service account'
group by all
order by denials desc;
