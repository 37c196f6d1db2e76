-- name: k8s_audit_secrets()
-- Who read secrets.
-- returns: user_id, resource, times
select user_id, resource, count(*) as times
from events
where source = 'k8s_audit' and event_type = 'data_access' and action like '% secrets'
group by all
order by times desc;

-- name: k8s_audit_shells()
-- Who opened a shell in a pod.
-- returns: timestamp, user_id, person, resource
select timestamp, user_id, metadata ->> 'user_name' as person, resource
from events
where source = 'k8s_audit' and action in ('create pods/exec', 'get pods/exec', 'create pods/attach');

-- name: k8s_audit_refused_people()
-- What people, not components, are refused.
-- returns: user_id, action, times
select user_id, action, count(*) as times
from events
where source = 'k8s_audit' and event_type = 'access_denied' and metadata ->> 'actor_type' = 'user'
group by all;
