-- name: auditd_programs()
-- Which programs does a person start.
-- returns: user_id, resource, times
select user_id, resource, count(*) as times
from events
where source = 'auditd' and event_type = 'process_execution'
group by all
order by times desc;

-- name: auditd_sudo()
-- What was done with sudo.
-- returns: timestamp, user_id, resource
select timestamp, user_id, resource
from events
where source = 'auditd' and action like 'USER_CMD%';

-- name: auditd_trail_touched()
-- Who touched the audit trail.
-- returns: timestamp, user_id, action, status
select timestamp, user_id, action, status
from events
where source = 'auditd' and event_type = 'audit_log_control';
