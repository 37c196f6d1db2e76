-- name: sshd_addresses()
-- Which addresses try many names.
-- returns: ip_address, names, tries
select ip_address, count(distinct user_id) as names, count(*) as tries
from events
where source = 'sshd' and event_type = 'auth_failure'
group by ip_address
order by names desc;

-- name: sshd_passwords()
-- Who signs in with a password.
-- returns: user_id, resource, sign_ins
select user_id, resource, count(*) as sign_ins
from events
where source = 'sshd' and event_type = 'login' and metadata ->> 'credential' = 'password'
group by all;

-- name: sshd_sign_ins_after_failures()
-- Sign-ins of names that failed before from the same address.
-- returns: timestamp, user_id, ip_address
select l.timestamp, l.user_id, l.ip_address
from events as l
where l.source = 'sshd' and l.event_type = 'login' and exists (
  from events as f
  where f.source = 'sshd' and f.event_type = 'auth_failure' and f.ip_address = l.ip_address and f.timestamp < l.timestamp
);
