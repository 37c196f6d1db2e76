-- What auditors ask. Below each header: what it answers, and its parameters as "$name (kind, default): what it is";
-- a kind is time, text or number; a time's default may be now, or a length before it, such as -30d.

-- name: failed_logins($since, $until, $least)
-- Failed logins by user and address, most first.
-- $since (time, -30d): from
-- $until (time, now): up to
-- $least (number, 1): leave out those with fewer
-- returns: user_id, ip_address, failures, first_failure, last_failure
select
  user_id,
  ip_address,
  count(*) as failures,
  min("timestamp") as first_failure,
  max("timestamp") as last_failure
from events
where event_type = 'auth_failure'
  and "timestamp" > $since
  and "timestamp" <= $until
group by user_id, ip_address
having count(*) >= $least
order by failures desc, user_id, ip_address;

-- name: user_activity($user, $since, $until)
-- Everything that one user did, in time order.
-- $user (text): whose
-- $since (time, -30d): from
-- $until (time, now): up to
-- returns: timestamp, event_type, action, resource, status, ip_address, session_id, source
select "timestamp", event_type, action, resource, status, ip_address, session_id, source
from events
where user_id = $user
  and "timestamp" > $since
  and "timestamp" <= $until
order by "timestamp", event_id;

-- name: privileged_changes($since, $until)
-- Changes of rights, accounts and configuration, and uses of privileges.
-- $since (time, -30d): from
-- $until (time, now): up to
-- returns: timestamp, event_type, user_id, action, resource, status, ip_address
select "timestamp", event_type, user_id, action, resource, status, ip_address
from events
where event_type in ('permission_change', 'account_change', 'config_change', 'privilege_use', 'audit_log_control')
  and "timestamp" > $since
  and "timestamp" <= $until
order by "timestamp", event_id;

-- name: outside_hours($since, $until, $from_hour, $to_hour)
-- Access by people outside of working hours (UTC) and on weekends, by user and day.
-- $since (time, -30d): from
-- $until (time, now): up to
-- $from_hour (number, 7): the first working hour of a day
-- $to_hour (number, 19): the first hour after work
-- returns: user_id, event_date, events, first_event, last_event
select
  user_id,
  event_date,
  count(*) as events,
  min("timestamp") as first_event,
  max("timestamp") as last_event
from events
where "timestamp" > $since
  and "timestamp" <= $until
  and event_type in ('login', 'access_granted', 'data_access', 'data_modification', 'data_deletion', 'data_export')
  and (
    isodow(event_date) > 5
    or hour("timestamp") < $from_hour
    or hour("timestamp") >= $to_hour
  )
group by user_id, event_date
order by event_date, user_id;

-- name: dormant_then_active($days, $until)
-- Users who were silent for many days and then did something again.
-- $days (number, 30): how long they were silent at least
-- $until (time, now): up to
-- returns: user_id, silent_since, active_again, silent_days
with steps as (
  select
    user_id,
    "timestamp" as active_again,
    lag("timestamp") over (partition by user_id order by "timestamp") as silent_since
  from events
  where user_id is not null
    and "timestamp" <= $until
)

select user_id, silent_since, active_again, date_sub('day', silent_since, active_again) as silent_days
from steps
where active_again - silent_since >= to_days($days)
order by active_again desc, user_id;

-- name: first_seen($since, $until)
-- Users, and for each the addresses, that the lake had not seen before.
-- $since (time, -7d): from
-- $until (time, now): up to
-- returns: user_id, ip_address, first_event, events
select
  user_id,
  ip_address,
  min("timestamp") as first_event,
  count(*) as events
from events
where user_id is not null
  and "timestamp" <= $until
group by user_id, ip_address
having min("timestamp") > $since
order by first_event, user_id;

-- name: deletions($since, $until)
-- What was deleted, by whom.
-- $since (time, -30d): from
-- $until (time, now): up to
-- returns: timestamp, user_id, action, resource, status, ip_address, session_id
select "timestamp", user_id, action, resource, status, ip_address, session_id
from events
where event_type = 'data_deletion'
  and "timestamp" > $since
  and "timestamp" <= $until
order by "timestamp", event_id;

-- name: resource_access($resource, $since, $until)
-- Who had to do with a resource; % stands for any characters.
-- $resource (text): which
-- $since (time, -30d): from
-- $until (time, now): up to
-- returns: timestamp, user_id, event_type, action, status, resource, ip_address
select "timestamp", user_id, event_type, action, status, resource, ip_address
from events
where resource like $resource
  and "timestamp" > $since
  and "timestamp" <= $until
order by "timestamp", event_id;

-- name: denied_access($since, $until)
-- Denied access by user and resource, most first.
-- $since (time, -30d): from
-- $until (time, now): up to
-- returns: user_id, resource, denials, first_denial, last_denial
select
  user_id,
  resource,
  count(*) as denials,
  min("timestamp") as first_denial,
  max("timestamp") as last_denial
from events
where event_type = 'access_denied'
  and "timestamp" > $since
  and "timestamp" <= $until
group by user_id, resource
order by denials desc, user_id, resource;

-- name: who_read_the_audit_log($since, $until)
-- Who asked this lake what, and whether they got an answer.
-- $since (time, -30d): from
-- $until (time, now): up to
-- returns: asked, principal, outcome, rows, milliseconds, snapshot, query
select asked, principal, outcome, rows, milliseconds, snapshot, query
from queries
where asked > $since
  and asked <= $until
order by asked;

-- name: volume($since, $until)
-- Events by day and source.
-- $since (time, -30d): from
-- $until (time, now): up to
-- returns: event_date, source, events, users, types
select
  event_date,
  source,
  count(*) as events,
  count(distinct user_id) as users,
  count(distinct event_type) as types
from events
where "timestamp" > $since
  and "timestamp" <= $until
group by event_date, source
order by event_date, source;

-- name: late_events($hours, $since, $until)
-- Events that the lake learnt of long after they happened, by source and day.
-- $hours (number, 24): how late they were at least
-- $since (time, -90d): from
-- $until (time, now): up to
-- returns: source, event_date, events, latest_hours
select
  source,
  event_date,
  count(*) as events,
  max(date_sub('hour', "timestamp", ingested_at)) as latest_hours
from events
where "timestamp" > $since
  and "timestamp" <= $until
  and ingested_at > "timestamp" + to_hours($hours)
group by source, event_date
order by event_date, source;

-- name: gaps($hours, $since, $until)
-- Stretches without a single event, by source.
-- $hours (number, 6): how long at least
-- $since (time, -90d): from
-- $until (time, now): up to
-- returns: source, silent_from, silent_to, hours
with steps as (
  select
    source,
    lag("timestamp") over (partition by source order by "timestamp") as silent_from,
    "timestamp" as silent_to
  from events
  where "timestamp" > $since
    and "timestamp" <= $until
    and source <> 'auditlake.self'
)

select source, silent_from, silent_to, date_sub('hour', silent_from, silent_to) as hours
from steps
where silent_to - silent_from >= to_hours($hours)
order by silent_from, source;

-- name: prompt_injections($since, $until)
-- Prompt injections by session: how many, of whom, and what became of them.
-- $since (time, -30d): from
-- $until (time, now): up to
-- returns: session_id, user_id, injections, outcomes, first_injection, last_injection
select
  session_id,
  user_id,
  count(*) as injections,
  list_sort(list(distinct status)) as outcomes,
  min("timestamp") as first_injection,
  max("timestamp") as last_injection
from events
where event_type = 'prompt_injection'
  and "timestamp" > $since
  and "timestamp" <= $until
group by session_id, user_id
order by injections desc, session_id, user_id;

-- name: model_use($since, $until)
-- Use of models by user.
-- $since (time, -30d): from
-- $until (time, now): up to
-- returns: user_id, resource, uses, sessions, first_use, last_use
select
  user_id,
  resource,
  count(*) as uses,
  count(distinct session_id) as sessions,
  min("timestamp") as first_use,
  max("timestamp") as last_use
from events
where event_type = 'model_access'
  and "timestamp" > $since
  and "timestamp" <= $until
group by user_id, resource
order by uses desc, user_id, resource;

-- name: session($session)
-- All of a session, step by step, with the seconds between its steps.
-- $session (text): its id
-- returns: timestamp, seconds, event_type, user_id, action, resource, status, ip_address
select
  "timestamp",
  epoch("timestamp" - lag("timestamp") over (order by "timestamp", event_id)) as seconds,
  event_type,
  user_id,
  action,
  resource,
  status,
  ip_address
from events
where session_id = $session
order by "timestamp", event_id;

-- name: logins_after_failures($failures, $minutes, $since, $until)
-- Logins that came right after several failed ones of the same user: what guessing a password looks like.
-- $failures (number, 3): how many failed at least
-- $minutes (number, 15): within how many minutes before the login
-- $since (time, -30d): from
-- $until (time, now): up to
-- returns: user_id, logged_in, failures, ip_address
select
  logins.user_id,
  logins."timestamp" as logged_in,
  count(*) as failures,
  logins.ip_address
from events as logins
join events as failed
  on failed.user_id = logins.user_id
  and failed.event_type = 'auth_failure'
  and failed."timestamp" > logins."timestamp" - to_minutes($minutes)
  and failed."timestamp" <= logins."timestamp"
where logins.event_type = 'login'
  and logins."timestamp" > $since
  and logins."timestamp" <= $until
group by logins.user_id, logins."timestamp", logins.ip_address, logins.event_id
having count(*) >= $failures
order by logged_in, logins.user_id;

-- name: shared_addresses($users, $since, $until)
-- Addresses from which many users came.
-- $users (number, 5): how many at least
-- $since (time, -30d): from
-- $until (time, now): up to
-- returns: ip_address, users, events, some_users
select
  ip_address,
  count(distinct user_id) as users,
  count(*) as events,
  list_sort(list(distinct user_id))[1:10] as some_users
from events
where ip_address is not null
  and "timestamp" > $since
  and "timestamp" <= $until
group by ip_address
having count(distinct user_id) >= $users
order by users desc, ip_address;

-- name: open_findings()
-- What the policies find now, the gravest policies first.
-- returns: severity, policy_id, kind, group_values, event_type, started, ended, peak, message
select
  policies.severity,
  findings.policy_id,
  findings.kind,
  findings.group_values,
  findings.event_type,
  findings.started,
  findings.ended,
  findings.peak,
  findings.message
from findings
join policies using (policy_id)
order by
  list_position(['critical', 'high', 'medium', 'low'], policies.severity),
  findings.policy_id,
  findings.started,
  findings.event_type;

-- name: chain_of_custody($like)
-- Where events came from: each input, its SHA-256, and what became of its records.
-- $like (text, %): inputs whose name is like this
-- returns: ingested, snapshot, input, source, bytes, sha256, read, landed, duplicates, quarantined
select ingested, snapshot, input, source, bytes, sha256, read, landed, duplicates, quarantined
from ingests
where input like $like
order by snapshot, input;

-- name: types_without_policy()
-- The event types that no policy keeps, with their events; asked_about says whether a policy names them all the same.
-- returns: event_type, events, asked_about, first_event, last_event
select
  event_type,
  cast(sum(events) as bigint) as events,
  exists (
    select 1
    from policies
    where list_contains(required_events, event_type)
  ) as asked_about,
  min(first_event) as first_event,
  max(last_event) as last_event
from daily_counts
where not exists (
  select 1
  from policies
  where list_contains(required_events, event_type)
    and retention_period is not null
)
group by event_type
order by events desc, event_type;
