-- name: anthropic_compliance_shared_with_everybody()
-- What was shared with everybody.
-- returns: timestamp, user_id, resource
select timestamp, user_id, resource
from events
where source = 'anthropic_compliance' and action like '%sharing%' and metadata ->> 'visibility' = 'public'
order by timestamp;

-- name: anthropic_compliance_chats_of_others()
-- Who reads other people's chats.
-- returns: user_id, actor, chats
select user_id, metadata ->> 'actor_type' as actor, count(distinct resource) as chats
from events
where source = 'anthropic_compliance' and action in ('claude_chat_viewed', 'claude_chat_access_failed')
group by all
order by chats desc;

-- name: anthropic_compliance_admin_keys()
-- Admin keys, by day.
-- returns: event_date, user_id, action, times
select event_date, user_id, action, count(*) as times
from events
where source = 'anthropic_compliance' and action like '%admin_api_key%'
group by all
order by event_date;
