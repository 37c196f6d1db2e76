-- name: azure_activity_roles()
-- Who gave or took roles.
-- returns: timestamp, user_id, action, resource, role
select timestamp, user_id, action, resource, metadata ->> 'reason' as role
from events
where source = 'azure_activity' and event_type = 'permission_change'
order by timestamp;

-- name: azure_activity_watching_switched_off()
-- What was switched off that watches.
-- returns: timestamp, user_id, action, resource
select timestamp, user_id, action, resource
from events
where source = 'azure_activity' and event_type = 'audit_log_control' and action ilike '%/delete';

-- name: azure_activity_firewalls()
-- From where firewalls are changed.
-- returns: user_id, ip_address, changes
select user_id, ip_address, count(*) as changes
from events
where source = 'azure_activity' and event_type = 'network_change'
group by all;
