-- name: github_audit_protections()
-- Branch protections that were taken away or overridden.
-- returns: timestamp, user_id, action, resource
select timestamp, user_id, action, resource
from events
where source = 'github_audit'
  and (action like 'protected_branch.%' or action like 'repository_ruleset.%')
  and (action like '%.destroy' or action like '%override')
order by timestamp;

-- name: github_audit_public_repositories()
-- Repositories that became public.
-- returns: timestamp, user_id, resource
select timestamp, user_id, resource
from events
where source = 'github_audit' and action in ('repo.access', 'repo.create')
  and metadata ->> 'visibility' = 'public'
order by timestamp;

-- name: github_audit_clones()
-- Who clones the most repositories in an hour.
-- returns: user_id, hour, repositories
select user_id, date_trunc('hour', timestamp) as hour, count(distinct resource) as repositories
from events
where source = 'github_audit' and event_type = 'data_access'
group by all
order by repositories desc
limit 20;
