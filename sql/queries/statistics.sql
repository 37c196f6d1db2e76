-- name: totals($as_of)
-- How many events there are up to as_of, and from when to when.
-- returns: events, first_event, last_event
select count(*) as events, min("timestamp") as first_event, max("timestamp") as last_event
from events
where "timestamp" <= $as_of;

-- name: by_type($as_of)
-- Events by type, most first.
-- returns: event_type, events
select event_type, count(*) as events
from events
where "timestamp" <= $as_of
group by event_type
order by events desc, event_type;

-- name: by_user($as_of, $limit)
-- Events by user, most first; events without a user are left out.
-- returns: user_id, events
select user_id, count(*) as events
from events
where "timestamp" <= $as_of
  and user_id is not null
group by user_id
order by events desc, user_id
limit $limit;
