-- What auditors read beside events. Each is the query behind a view of the desk; "events" is the session's own view.

-- name: queries()
-- Every question that auditors asked: who, what, on which snapshot, and how it ended. What the session's snapshot has of
-- them is in events. On the newest snapshot, those that were on record when the session began are in "_queries", and on
-- any snapshot the session's own, as they come. As of an instant, later ones do not exist.
-- returns: asked, principal, system_user, query, parameters, snapshot, rows, milliseconds, outcome, reason, session_id, event_id
with asked as (
  select "timestamp", user_id, status, details, session_id, event_id
  from events
  where source = 'auditlake.self'
    and event_type = 'audit_log_access'
    and action = 'query'
  union all
  select "timestamp", user_id, status, details, session_id, event_id
  from _queries
)

select
  "timestamp" as asked,
  user_id as principal,
  json_extract_string(details, '$.system_user') as system_user,
  json_extract_string(details, '$.query') as query,
  json_extract(details, '$.parameters') as parameters,
  try_cast(json_extract(details, '$.snapshot') as bigint) as snapshot,
  try_cast(json_extract(details, '$.rows') as bigint) as rows,
  try_cast(json_extract(details, '$.milliseconds') as bigint) as milliseconds,
  status as outcome,
  json_extract_string(details, '$.reason') as reason,
  session_id,
  event_id
from asked;

-- name: policies()
-- What the lake is judged by.
-- returns: policy_id, name, description, severity, required_events, alert_threshold, window_length, group_by, condition,
--          scope, coverage, max_gap, retention_period, max_retention, controls, digest
from _policies;

-- name: findings()
-- What every policy finds over its usual period, as of the session's instant.
-- returns: policy_id, finding_id, kind, event_type, group_values, started, ended, ongoing, started_before_period, peak,
--          peak_at, message, accepted, accepted_by, accepted_until, reason
from _findings;

-- name: retention_status()
-- How each policy's events stand against its retention period, as of the session's instant.
-- returns: policy_id, status, retention_period, cutoff, due, kept_by_other_policies, held, oldest_event, total_events
from _retention_status;

-- name: daily_counts()
-- What each day has of each type and source, from the lake's kept counts: no row is read again.
-- returns: event_date, event_type, source, events, first_event, last_event
from _daily_counts;

-- name: daily_counts_of_rows()
-- The same from rows, where no counts are kept or the principal does not see every row.
-- returns: event_date, event_type, source, events, first_event, last_event
select
  event_date,
  event_type,
  source,
  count(*) as events,
  min("timestamp") as first_event,
  max("timestamp") as last_event
from events
group by event_date, event_type, source;

-- name: ingests()
-- Every input that was brought in, up to the session's snapshot: its chain of custody.
-- returns: snapshot, ingested, batch, input, source, format, bytes, sha256, read, landed, duplicates, quarantined,
--          skipped, mapping, history
from _ingests;

-- name: ledger()
-- The entries of the ledger, one for every commit and for what changed beside the table; no rows where there is none.
-- Those about a snapshot are there up to the session's, the others up to its instant and before the next snapshot.
-- returns: number, kind, recorded, snapshot, files_added, files_removed, previous_log, details
from _ledger;

-- name: quarantine()
-- Records that could not become events, with their bytes where the principal may see those.
-- returns: file, input, line, byte_offset, bytes, reason, detail, encoding, data, field,
--          value
from _quarantine;
