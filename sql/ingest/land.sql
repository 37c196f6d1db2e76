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
-- Everything that is `staged`, with its id.
create or replace temp view candidates as
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
  source
from staged
left join identified on staged.seq = identified.seq;

-- name: candidates_with_own_ids()
-- The same where every record brought its id.
create or replace temp view candidates as
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
  source
from staged;

-- name: looked_for()
-- What the lake is searched for; see also sql/ingest/erased.sql.
create or replace temp view looked_for as
from candidates;

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
semi join looked_for
  on events.source = looked_for.source and events.event_id = looked_for.event_id
order by event_date;

-- name: matches()
-- Candidates beside what the lake has under their id: the same event again, or another one. `events` shows only the days
-- that `known_days` gave.
create or replace temp table matches as
select
  looked_for.seq,
  looked_for.event_type is distinct from events.event_type
  or looked_for."timestamp" is distinct from events."timestamp"
  or looked_for.user_id is distinct from events.user_id
  or looked_for.action is distinct from events.action
  or looked_for.resource is distinct from events.resource
  or looked_for.status is distinct from events.status
  or looked_for.details is distinct from events.details
  or looked_for.metadata is distinct from events.metadata
  or looked_for.session_id is distinct from events.session_id
  or looked_for.ip_address is distinct from events.ip_address as conflicts
from looked_for
join events
  on looked_for.source = events.source and looked_for.event_id = events.event_id;

-- name: known()
-- Each of them once: the same event again is a duplicate, another event is a conflict. Another program may have put an id
-- there twice; one that is the same is enough. (In the statement above this would take memory from the join.)
create or replace temp table known as
select
  seq,
  bool_and(conflicts) as conflicts
from matches
group by seq;

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

-- name: lost($first, $last)
-- Which of the records from $first to $last do not land.
-- returns: seq
select seq
from losers
where seq between $first and $last;

-- name: given_ids($first, $last)
-- The ids that were made for records from $first to $last.
-- returns: seq, event_id
select seq, event_id
from identified
where seq between $first and $last
order by seq;

-- name: landing()
-- What lands.
create or replace temp view landing as
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
  candidates.seq
from candidates
anti join losers on candidates.seq = losers.seq;
