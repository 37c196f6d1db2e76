-- name: cloudtrail_denied()
-- Who was denied most often, and in how many different calls.
-- returns: user_id, actions, denied
select user_id, count(distinct action) as actions, count(*) as denied
from events
where source = 'cloudtrail' and event_type = 'access_denied'
group by user_id
order by denied desc
limit 10;

-- name: cloudtrail_recording()
-- Who changed the recording of calls.
-- returns: timestamp, user_id, action, resource
select timestamp, user_id, action, resource
from events
where source = 'cloudtrail' and event_type = 'audit_log_control'
order by timestamp;

-- name: cloudtrail_no_second_factor()
-- Which sign-ins had no second factor.
-- returns: timestamp, user_id, ip_address
select timestamp, user_id, ip_address
from events
where source = 'cloudtrail' and event_type = 'login' and metadata ->> '$.mfa' = 'false'
order by timestamp;
