-- name: journald_privileges()
-- Who used privileges on what, and how often.
-- returns: user_id, resource, times
select user_id, resource, count(*) as times
from events
where source = 'journald' and event_type = 'privilege_use'
group by all;

-- name: journald_failed_sign_ins()
-- From which addresses sign-ins fail.
-- returns: ip_address, failures
select ip_address, count(*) as failures
from events
where source = 'journald' and event_type = 'auth_failure'
group by ip_address
order by failures desc;

-- name: journald_severities()
-- How severe the messages are, by what they are about.
-- returns: severity, action, messages
select metadata ->> 'severity' as severity, action, count(*) as messages
from events
where source = 'journald'
group by all
order by messages desc;
