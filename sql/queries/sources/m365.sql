-- name: m365_files()
-- Who took the most files away.
-- returns: user_id, downloads, files
select user_id, count(*) as downloads, count(distinct resource) as files
from events
where source = 'm365' and event_type = 'data_export'
group by user_id
order by downloads desc;

-- name: m365_mail_of_others()
-- Who reads other people's mail.
-- returns: user_id, mailbox, times
select user_id, metadata ->> 'on_behalf_of' as mailbox, count(*) as times
from events
where source = 'm365' and event_type = 'data_access' and metadata ->> 'on_behalf_of' is not null
group by all;

-- name: m365_protection()
-- What was done to auditing and protection.
-- returns: timestamp, user_id, action, resource
select timestamp, user_id, action, resource
from events
where source = 'm365' and event_type = 'audit_log_control';
