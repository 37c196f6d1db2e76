-- name: garak_scans()
-- Which models were scanned, and when last.
-- returns: resource, last, runs
select resource, max(timestamp) as last, count(distinct session_id) as runs
from events
where source = 'garak' and resource is not null
group by resource;

-- name: garak_findings()
-- Which scans found something bad.
-- returns: timestamp, resource, session_id
select timestamp, resource, session_id
from events
where source = 'garak' and action = 'garak digest' and status = 'failure';

-- name: garak_unfinished()
-- Which scans began and have no end.
-- returns: session_id, began
select session_id, min(timestamp) as began
from events
where source = 'garak'
group by session_id
having count(*) filter (action = 'garak completion') = 0;
