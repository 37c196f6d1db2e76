-- name: slack_administrators()
-- Who became an owner or an administrator.
-- returns: timestamp, by, action, resource
select timestamp, metadata ->> 'user_name' as by, action, resource
from events
where source = 'slack' and action in ('role_change_to_owner', 'role_change_to_admin', 'owner_transferred')
order by timestamp;

-- name: slack_app_scopes()
-- Apps that were given more scopes.
-- returns: timestamp, user_id, app, scopes
select timestamp, user_id, resource as app, details ->> '$.details.new_scopes' as scopes
from events
where source = 'slack' and action in ('app_scopes_expanded', 'app_resources_added', 'app_installed');

-- name: slack_downloads()
-- Files downloaded in a day.
-- returns: user_id, event_date, files
select user_id, event_date, count(distinct resource) as files
from events
where source = 'slack' and event_type = 'data_access'
group by all
order by files desc
limit 20;
