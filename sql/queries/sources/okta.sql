-- name: okta_failed_sign_ins()
-- Who fails to sign in, and why.
-- returns: name, reason, times
select metadata ->> 'user_name' as name, metadata ->> 'reason' as reason, count(*) as times
from events
where source = 'okta' and event_type = 'auth_failure'
group by all
order by times desc;

-- name: okta_factor_resets()
-- Whose factors were reset, and by whom.
-- returns: timestamp, by, whose
select timestamp, metadata ->> 'user_name' as by, resource as whose
from events
where source = 'okta' and action like 'user.mfa.factor.reset%';

-- name: okta_administrators()
-- What became of administrators' rights.
-- returns: timestamp, by, action, resource
select timestamp, metadata ->> 'user_name' as by, action, resource
from events
where source = 'okta' and event_type = 'permission_change' and action like '%privilege%';
