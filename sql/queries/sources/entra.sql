-- name: entra_failed_sign_ins()
-- Who fails to sign in, and from where.
-- returns: user_id, ip_address, failures
select user_id, ip_address, count(*) as failures
from events
where source = 'entra' and event_type = 'auth_failure'
group by all
order by failures desc;

-- name: entra_roles()
-- Who gave roles to whom.
-- returns: timestamp, by, action, resource
select timestamp, metadata ->> 'user_name' as by, action, resource
from events
where source = 'entra' and event_type = 'permission_change' and action ilike '%role%';

-- name: entra_one_factor()
-- Sign-ins that succeeded with one factor alone.
-- returns: user_id, sign_ins, last
select user_id, count(*) as sign_ins, max(timestamp) as last
from events
where source = 'entra' and event_type = 'login' and status = 'success' and metadata ->> 'mfa' = 'false'
group by user_id;
