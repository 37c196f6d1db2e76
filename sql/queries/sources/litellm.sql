-- name: litellm_guardrails()
-- What guardrails stopped.
-- returns: user_id, event_type, guardrail, times
select user_id, event_type, metadata ->> 'reason' as guardrail, count(*) as times
from events
where source = 'litellm' and event_type in ('prompt_injection', 'policy_violation')
group by all;

-- name: litellm_models()
-- Who uses which model, and how much.
-- returns: user_id, resource, calls, tokens
select user_id, resource, count(*) as calls, sum(try_cast(metadata ->> 'tokens' as bigint)) as tokens
from events
where source = 'litellm' and event_type = 'model_access' and status = 'success'
group by all
order by tokens desc nulls last;

-- name: litellm_failures()
-- Why calls fail.
-- returns: code, event_type, times
select metadata ->> 'error_code' as code, event_type, count(*) as times
from events
where source = 'litellm' and status = 'failure' and action not like 'guardrail %'
group by all;
