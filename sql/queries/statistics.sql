-- What statistics say, from the tables of the summaries `type_counts` and `user_counts`, cut at as_of: what counts is in the
-- stretch before it.

-- name: totals()
-- How many events there are up to as_of, and from when to when.
-- returns: events, first_event, last_event
select
  cast(coalesce(sum(events), 0) as bigint) as events,
  min(first_event) as first_event,
  max(last_event) as last_event
from type_counts
where stretch = 0;

-- name: by_type()
-- Events by type, most first.
-- returns: event_type, events
select event_type, cast(sum(events) as bigint) as events
from type_counts
where stretch = 0
group by event_type
order by events desc, event_type;

-- name: waiting($types, $first)
-- How many events of the landing can matter to policies that ask about these types.
-- returns: events
select count(*) as events
from _landing
where source <> 'auditlake.self'
  or list_contains($types, event_type)
  or "timestamp" <= $first;

-- name: by_day()
-- Events by day, type and source.
-- returns: event_date, event_type, source, events, first_event, last_event
select
  date '1970-01-01' + cast(day as integer) as event_date,
  event_type,
  source,
  cast(sum(events) as bigint) as events,
  min(first_event) as first_event,
  max(last_event) as last_event
from type_counts
where stretch = 0
group by day, event_type, source
order by day, event_type, source;

-- name: by_user($limit)
-- Events by user, most first; events without a user are left out.
-- returns: user_id, events
select user_id, cast(sum(events) as bigint) as events
from user_counts
where stretch = 0
group by user_id
order by events desc, user_id
limit $limit;
