-- name: otlp_genai_models()
-- Who used which model, and how many tokens.
-- returns: user_id, model, tokens
select user_id, metadata ->> 'model' as model, sum(try_cast(metadata ->> 'tokens' as bigint)) as tokens
from events
where source = 'otlp_genai'
group by all;

-- name: otlp_genai_failures()
-- Which calls failed, and why.
-- returns: timestamp, user_id, resource, error
select timestamp, user_id, resource, metadata ->> 'error_code' as error
from events
where source = 'otlp_genai' and status = 'failure';

-- name: otlp_genai_calls()
-- How many calls there were of each kind.
-- returns: event_type, calls
select event_type, count(*) as calls
from events
where source = 'otlp_genai' and details ->> 'signal' = 'span'
group by event_type;
