-- name: openai_audit_full_keys()
-- Keys with all rights.
-- returns: timestamp, user_id, resource, ip_address
select timestamp, user_id, resource, ip_address
from events
where source = 'openai_audit' and action in ('api_key.created', 'api_key.updated')
  and (details ->> '$.api_key_created.data.scopes' like '%"all"%'
    or details ->> '$."api_key.created".data.scopes' like '%"all"%');

-- name: openai_audit_allow_lists()
-- Allow lists that were weakened.
-- returns: timestamp, user_id, action, resource
select timestamp, user_id, action, resource
from events
where source = 'openai_audit' and event_type = 'network_change' and metadata ->> 'verb' in ('delete', 'update')
order by timestamp;

-- name: openai_audit_sign_ins_after_failures()
-- Failed sign-ins before one that succeeded, by address.
-- returns: ip_address, failures, logins
select ip_address, count_if(event_type = 'auth_failure') as failures, count_if(event_type = 'login') as logins
from events
where source = 'openai_audit' and event_type in ('auth_failure', 'login')
group by ip_address
order by failures desc;
