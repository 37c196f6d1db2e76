-- What several of the writers read is no temporary table: each has a connection of its own.

-- name: identified()
-- An id from content for every record that brought none: SHA-256 over its source, the SHA-256 of its bytes and its
-- occurrence number among identical records of its input, separated by newlines. Few records are identical, so only
-- those are numbered; `bounds` has the seq at which each input that has records begins.
create or replace table identified as
with repeated_digests as (
  select hash(digest) as key
  from digests
  group by key
  having count(*) > 1
),

occurrences as (
  select
    digests.seq,
    row_number() over (partition by bounds.input, digests.digest order by digests.seq) as occurrence
  from digests
  semi join repeated_digests on hash(digests.digest) = repeated_digests.key
  asof join bounds on digests.seq >= bounds.first_seq
)

select
  digests.seq,
  sha256(digests.source || chr(10) || digests.digest || chr(10) || coalesce(occurrences.occurrence, 1)) as event_id
from digests
left join occurrences on digests.seq = occurrences.seq;

-- name: candidates()
-- Everything that could become an event, with its id.
create or replace view candidates as
select
  staged.seq,
  coalesce(staged.event_id, identified.event_id) as event_id,
  event_type,
  "timestamp",
  user_id,
  action,
  resource,
  status,
  details,
  metadata,
  session_id,
  ip_address,
  source,
  event_day
from staged
left join identified on staged.seq = identified.seq
where reason is null;

-- name: candidates_with_own_ids()
-- The same where every record brought its id.
create or replace view candidates as
select
  seq,
  event_id,
  event_type,
  "timestamp",
  user_id,
  action,
  resource,
  status,
  details,
  metadata,
  session_id,
  ip_address,
  source,
  event_day
from staged
where reason is null;

-- name: repeated()
-- Ids that occur more than once among the candidates; by hash, so perhaps a few that do not.
create or replace temp table repeated as
select key
from (select hash(source, event_id) as key from candidates)
group by key
having count(*) > 1;

-- name: known_days()
-- The days on which the lake has events whose ids come again. Two columns of the lake are read for this, and all of them
-- only on these days.
-- returns: event_date
select distinct event_date
from events
semi join candidates
  on events.source = candidates.source and events.event_id = candidates.event_id
order by event_date;

-- name: known()
-- Candidates whose id the lake has: the same event again is a duplicate, another event is a conflict. `events` shows
-- only the days that `known_days` gave.
create or replace temp table known as
select
  candidates.seq,
  candidates.event_type is distinct from events.event_type
  or candidates."timestamp" is distinct from events."timestamp"
  or candidates.user_id is distinct from events.user_id
  or candidates.action is distinct from events.action
  or candidates.resource is distinct from events.resource
  or candidates.status is distinct from events.status
  or candidates.details is distinct from events.details
  or candidates.metadata is distinct from events.metadata
  or candidates.session_id is distinct from events.session_id
  or candidates.ip_address is distinct from events.ip_address as conflicts
from candidates
join events
  on candidates.source = events.source and candidates.event_id = events.event_id;

-- name: losers()
-- Candidates that do not land: those that the lake has, and those that are not the first of their id in this ingest.
create or replace table losers as
with contenders as (
  select
    seq,
    source,
    event_id,
    {
      event_type: event_type, "timestamp": "timestamp", user_id: user_id, action: action, resource: resource,
      status: status, details: details, metadata: metadata, session_id: session_id, ip_address: ip_address
    } as content
  from candidates
  semi join repeated on hash(candidates.source, candidates.event_id) = repeated.key
  anti join known on candidates.seq = known.seq
),

compared as (
  select
    seq,
    content,
    first_value(seq) over same_id as first_seq,
    first_value(content) over same_id as first_content
  from contenders
  window same_id as (partition by source, event_id order by seq)
)

select seq, conflicts from known
union all
select
  seq,
  content is distinct from first_content as conflicts
from compared
where seq <> first_seq;

-- name: losers_by_input()
-- How many duplicates and conflicts each input has; `bounds` has the seq at which each input that has records begins.
-- returns: input, conflicts, records
select
  bounds.input,
  losers.conflicts,
  count(*) as records
from losers
asof join bounds on losers.seq >= bounds.first_seq
group by all
order by all;

-- name: conflicting($first, $behind)
-- The records of one input, from $first to before $behind, that bring another event under a known id, and where they
-- stand.
-- returns: seq, line, byte_offset, byte_length
select places.seq, line, byte_offset, byte_length
from losers
join places on losers.seq = places.seq
where conflicts
  and losers.seq >= $first
  and losers.seq < $behind
order by places.seq;

-- name: landing()
-- What lands.
create or replace view landing as
select
  event_id,
  event_type,
  "timestamp",
  user_id,
  action,
  resource,
  status,
  details,
  metadata,
  session_id,
  ip_address,
  source,
  candidates.seq,
  event_day
from candidates
anti join losers on candidates.seq = losers.seq;

-- name: scattering()
-- How many days the records of one row group have, on average: logs come in the order of time, so mostly one or two.
-- returns: days
select count(*) / greatest(count(distinct row_group), 1) as days
from (
  select distinct
    rowid // 122880 as row_group,
    event_day
  from staged
  where reason is null
);

-- name: sorted_landing()
-- The same in the order of the files, where each day would otherwise have to be gathered from everywhere.
create or replace table sorted_landing as
select *
from landing
order by event_day, "timestamp", seq;

-- name: landing_from_sorted()
create or replace view landing as
select *
from sorted_landing;

-- name: landing_days()
-- The days that get a file.
-- returns: event_day, rows, first, last
select
  event_day,
  count(*) as events,
  min("timestamp") as first_event,
  max("timestamp") as last_event
from landing
group by event_day
order by event_day;

-- name: one_day($day, $ingested_at, $batch)
-- The rows of one day's file in the order of time, without the partition column.
select
  event_id,
  event_type,
  "timestamp",
  user_id,
  action,
  resource,
  status,
  details,
  metadata,
  session_id,
  ip_address,
  source,
  $ingested_at as ingested_at,
  cast($batch as bigint) as batch,
  seq,
  cast(null as blob) as salt
from landing
where event_day = $day
order by "timestamp", seq;
