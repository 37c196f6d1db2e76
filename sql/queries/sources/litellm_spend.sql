-- name: litellm_spend_teams()
-- What each team used.
-- returns: team, tokens
select metadata ->> 'account' as team, sum(try_cast(metadata ->> 'tokens' as bigint)) as tokens
from events
where source = 'litellm_spend'
group by all;

-- name: litellm_spend_models()
-- Which models are used by whom.
-- returns: resource, user_id, calls
select resource, user_id, count(*) as calls
from events
where source = 'litellm_spend'
group by all
order by calls desc;

-- name: litellm_spend_failures()
-- Calls that failed.
-- returns: timestamp, user_id, resource, code
select timestamp, user_id, resource, metadata ->> 'error_code' as code
from events
where source = 'litellm_spend' and status = 'failure';
