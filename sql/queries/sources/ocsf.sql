-- name: ocsf_findings()
-- What was found, and how severe it is.
-- returns: action, severity, findings
select action, metadata ->> 'severity' as severity, count(*) as findings
from events
where source = 'ocsf' and event_type = 'security_alert'
group by all
order by findings desc;

-- name: ocsf_rights()
-- Which accounts and rights were changed.
-- returns: timestamp, user_id, action, resource
select timestamp, user_id, action, resource
from events
where source = 'ocsf' and event_type in ('account_change', 'permission_change');

-- name: ocsf_failed_sign_ins()
-- Who fails to sign in, and from where.
-- returns: user_id, ip_address, failures
select user_id, ip_address, count(*) as failures
from events
where source = 'ocsf' and event_type = 'auth_failure'
group by all;
