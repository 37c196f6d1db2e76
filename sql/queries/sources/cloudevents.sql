-- name: cloudevents_actions()
-- Which actions there are, and how often.
-- returns: action, times
select action, count(*) as times
from events
where source = 'cloudevents'
group by action;

-- name: cloudevents_failures()
-- What failed, and whose it was.
-- returns: timestamp, user_id, action
select timestamp, user_id, action
from events
where source = 'cloudevents' and status = 'failure';

-- name: cloudevents_deletions()
-- What was deleted, and when last.
-- returns: resource, last
select resource, max(timestamp) as last
from events
where source = 'cloudevents' and metadata ->> 'verb' = 'delete'
group by resource;
