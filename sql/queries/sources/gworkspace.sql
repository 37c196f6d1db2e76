-- name: gworkspace_shared_outside()
-- Documents that were shared with the outside.
-- returns: timestamp, user_id, action, resource
select timestamp, user_id, action, resource
from events
where source = 'gworkspace' and metadata ->> 'visibility' in ('shared_externally', 'people_with_link', 'public_on_the_web')
  and event_type = 'permission_change'
order by timestamp;

-- name: gworkspace_administrators()
-- Who became an administrator.
-- returns: timestamp, by, administrator
select timestamp, user_id as by, resource as administrator
from events
where source = 'gworkspace' and action in ('admin.ASSIGN_ROLE', 'admin.GRANT_ADMIN_PRIVILEGE');

-- name: gworkspace_downloads()
-- Downloads a day and person.
-- returns: user_id, event_date, downloads
select user_id, event_date, count(*) as downloads
from events
where source = 'gworkspace' and action = 'drive.download'
group by all
order by downloads desc
limit 20;
