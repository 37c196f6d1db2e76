-- What several of the writers read is no temporary table: each has a connection of its own.

-- name: identified()
-- An id from content for every event that brought none: SHA-256 over its source, the SHA-256 of its record's bytes, the
-- occurrence number of that among identical records of its input, and its own number in its record unless that is 0,
-- separated by newlines. Few records are identical, so only those are numbered; `bounds` has the record at which each
-- input that has records begins, and `occurred_before` how often a record came in its file before it.
create or replace table identified as
with repeated_digests as (
  select hash(digest) as key
  from digests
  group by key
  having count(*) > 1
  union
  select hash(digest) as key
  from occurred_before
),

occurrences as (
  select
    digests.seq,
    dense_rank() over (partition by bounds.input, digests.digest order by digests.record)
      + coalesce(occurred_before.occurrences, 0) as occurrence
  from digests
  semi join repeated_digests on hash(digests.digest) = repeated_digests.key
  asof join bounds on digests.record >= bounds.first_record
  left join occurred_before
    on bounds.input = occurred_before.input and digests.digest = occurred_before.digest
)

select
  digests.seq,
  sha256(
    digests.source || chr(10) || digests.digest || chr(10) || coalesce(occurrences.occurrence, 1)
    || if(digests.event_number > 0, chr(10) || digests.event_number, '')
  ) as event_id
from digests
left join occurrences on digests.seq = occurrences.seq;

-- name: earlier_identified()
-- The ids that an earlier version would have made, by the same rule from other bytes.
create or replace table earlier_identified as
with occurrences as (
  select
    earlier_digests.*,
    row_number() over (partition by bounds.input, digest order by seq) as occurrence
  from earlier_digests
  asof join bounds on earlier_digests.record >= bounds.first_record
)

select
  seq,
  sha256(source || chr(10) || digest || chr(10) || occurrence) as event_id
from occurrences;

-- name: candidates()
-- Everything that is `staged`, with its id.
create or replace temp view candidates as
select
  staged.seq,
  staged.record,
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
-- The same where every event brought its id.
create or replace temp view candidates as
select
  seq,
  record,
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

-- name: sought()
-- What the lake may have of the candidates: what they are now, and what an earlier version would have made of them.
create or replace temp view sought as
select *, false as was_spelled_so
from candidates
union all
select
  candidates.seq,
  candidates.record,
  coalesce(earlier.event_id, earlier_identified.event_id, candidates.event_id) as event_id,
  coalesce(earlier.event_type, candidates.event_type) as event_type,
  coalesce(earlier."timestamp", candidates."timestamp") as "timestamp",
  if(earlier.seq is null, candidates.user_id, earlier.user_id) as user_id,
  if(earlier.seq is null, candidates.action, earlier.action) as action,
  if(earlier.seq is null, candidates.resource, earlier.resource) as resource,
  if(earlier.seq is null, candidates.status, earlier.status) as status,
  if(earlier.seq is null, candidates.details, earlier.details) as details,
  if(earlier.seq is null, candidates.metadata, earlier.metadata) as metadata,
  if(earlier.seq is null, candidates.session_id, earlier.session_id) as session_id,
  if(earlier.seq is null, candidates.ip_address, earlier.ip_address) as ip_address,
  candidates.source,
  true as was_spelled_so
from candidates
left join earlier on candidates.seq = earlier.seq
left join earlier_identified on candidates.seq = earlier_identified.seq
where earlier.seq is not null
  or earlier_identified.seq is not null;

-- name: sought_as_they_are()
-- The same where an earlier version would have made nothing else of them.
create or replace temp view sought as
select *, false as was_spelled_so
from candidates;

-- name: looked_for()
-- What the lake is searched for; see also sql/ingest/erased.sql.
create or replace temp view looked_for as
from sought;

-- name: known_days()
-- The days on which the lake has events whose ids come again. Two columns of the lake are read for this, and all of them
-- only on these days.
-- returns: event_date
select distinct event_date
from events
semi join looked_for
  on events.source = looked_for.source and events.event_id = looked_for.event_id
order by event_date;

-- name: matches($exact_since, $own)
-- Candidates beside what the lake has under their id: the same event again, or another one. Of sources that are mapped
-- ($own are the others) the vendor's record alone counts, which is in details. `events` shows only the days
-- that `known_days` gave. Only batches of a folder below $exact_since hold what an earlier version made.
create or replace temp table matches as
select
  looked_for.seq,
  looked_for.record,
  looked_for.was_spelled_so,
  looked_for.details is distinct from events.details
  or (
    list_contains($own, looked_for.source)
    and (
      looked_for.event_type is distinct from events.event_type
      or looked_for."timestamp" is distinct from events."timestamp"
      or looked_for.user_id is distinct from events.user_id
      or looked_for.action is distinct from events.action
      or looked_for.resource is distinct from events.resource
      or looked_for.status is distinct from events.status
      or looked_for.metadata is distinct from events.metadata
      or looked_for.session_id is distinct from events.session_id
      or looked_for.ip_address is distinct from events.ip_address
    )
  ) as conflicts
from looked_for
join events
  on looked_for.source = events.source and looked_for.event_id = events.event_id
where not was_spelled_so
  or coalesce(events.batch < $exact_since, $exact_since is null);

-- name: known()
-- Each of them once: the same event again is a duplicate, another event is a conflict. Another program may have put an id
-- there twice; one that is the same is enough. (In the statement above this would take memory from the join.) What an
-- earlier version would have made of a candidate only shows that the lake has it, never that the lake has another event.
create or replace temp table known as
select
  seq,
  min(record) as record,
  bool_and(conflicts) as conflicts
from matches
group by seq
having not bool_and(conflicts and was_spelled_so);

-- name: losers($own)
-- Candidates that do not land: those that the lake has, and those that are not the first of their id in this ingest; of
-- the sources that are not $own, details alone make the event. `repeated` has what sql/store/ids.sql makes of the ids that
-- occur more than once, and perhaps of a few others.
create or replace table losers as
with contenders as (
  select
    seq,
    record,
    source,
    event_id,
    details,
    case
      when list_contains($own, source)
      then {
        event_type: event_type, "timestamp": "timestamp", user_id: user_id, action: action, resource: resource,
        status: status, metadata: metadata, session_id: session_id, ip_address: ip_address
      }
    end as columns_of_own
  from candidates
  semi join repeated on hash(candidates.source, candidates.event_id) >> 16 = repeated.hash
  anti join known on candidates.seq = known.seq
),

compared as (
  select
    seq,
    record,
    details,
    columns_of_own,
    first_value(seq) over same_id as first_seq,
    first_value(details) over same_id as first_details,
    first_value(columns_of_own) over same_id as first_columns
  from contenders
  window same_id as (partition by source, event_id order by seq)
)

select seq, record, conflicts from known
union all
select
  seq,
  record,
  details is distinct from first_details or columns_of_own is distinct from first_columns as conflicts
from compared
where seq <> first_seq;

-- name: losers_by_input()
-- How many duplicates and conflicts each input has; `bounds` has the record at which each input that has records begins.
-- returns: input, conflicts, events
select
  bounds.input,
  losers.conflicts,
  count(*) as events
from losers
asof join bounds on losers.record >= bounds.first_record
group by all
order by all;

-- name: conflicting($first, $behind)
-- The events of one input, of the records from $first to before $behind, that bring another event under a known id, and
-- where their records stand.
-- returns: record, line, byte_offset, byte_length, event_id
select places.record, line, byte_offset, byte_length, event_id
from losers
join places on losers.record = places.record
join candidates on losers.seq = candidates.seq
where conflicts
  and losers.record >= $first
  and losers.record < $behind
order by losers.seq;

-- name: lost($first, $last)
-- Which of the events from $first to $last do not land.
-- returns: seq
select seq
from losers
where seq between $first and $last;

-- name: made_ids($first, $last)
-- The ids that were made for events from $first to $last.
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
