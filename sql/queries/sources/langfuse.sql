-- name: langfuse_models()
-- Which models were used, and how much.
-- returns: resource, calls, tokens
select resource, count(*) as calls, sum(try_cast(metadata ->> 'tokens' as bigint)) as tokens
from events
where source = 'langfuse' and event_type = 'model_access'
group by resource;

-- name: langfuse_tools()
-- Which tools agents called, and which failed.
-- returns: action, status, times
select action, status, count(*) as times
from events
where source = 'langfuse' and action like 'tool %'
group by all;

-- name: langfuse_guardrails()
-- What guardrails found.
-- returns: timestamp, user_id, action, what
select timestamp, user_id, action, metadata ->> 'error_message' as what
from events
where source = 'langfuse' and event_type in ('prompt_injection', 'policy_violation');
