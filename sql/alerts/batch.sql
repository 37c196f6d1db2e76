-- A micro-batch of live events: what of it is new, and what a policy counts of it. `staged` has it mapped and judged as
-- an ingest would (sql/ingest/stage.sql).

-- name: seen_lately()
-- What was read lately: a number for each event's source and id, and one for all that it says.
create or replace temp table seen_lately (
  identity ubigint,
  content ubigint
);

-- name: seen_before()
-- The generation before that one, so that memory is bounded.
create or replace temp table seen_before (
  identity ubigint,
  content ubigint
);

-- name: grow_old()
-- The newer generation becomes the older one.
create or replace temp table seen_before as
select
  identity,
  content
from seen_lately;

-- name: fresh($now)
-- The events of the batch that were not read before, the first of each id, with every column that a condition may name.
-- What comes under a known id and says something else is doubtful: at the end of an ingest it is an id conflict.
create or replace temp table fresh as
with identified as (
  select
    *,
    hash(source, coalesce(event_id, 'record ' || seq)) as identity,
    hash(
      event_type, "timestamp", user_id, action, resource, status, details, metadata, session_id, ip_address
    ) as content
  from staged
),

placed as (
  select
    *,
    row_number() over same_id as place,
    first_value(content) over same_id as first_content
  from identified
  window same_id as (partition by identity order by seq)
),

compared as (
  select
    placed.*,
    place = 1 and seen.identity is null as is_first,
    placed.content <> coalesce(seen.content, first_content) as doubtful
  from placed
  left join (
    select identity, content from seen_lately
    union all
    select identity, content from seen_before
  ) as seen on placed.identity = seen.identity
)

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
  cast($now as timestamptz) as ingested_at,
  cast("timestamp" as date) as event_date,
  identity,
  content,
  doubtful
from compared
where is_first
  or doubtful;

-- name: events()
-- The same under the name that the statements of sql/policies read.
create or replace temp view events as
select *
from fresh;

-- name: remember()
-- Note what was new.
insert into seen_lately
select
  identity,
  content
from fresh
where not doubtful;

-- name: remember_these()
-- Note what was read in another way.
insert into seen_lately
select
  identity,
  content
from seen_elsewhere;

-- name: seen_size()
-- How many events the newer generation holds.
-- returns: events
select count(*) as events
from seen_lately;

-- name: sightings($types)
-- What a policy counts of the batch: of each group, its governed events that match, in the order of time; doubtful ones
-- by themselves. The slots are those of sql/policies.
-- returns: group_key, moments (microseconds), identities, doubtful (microseconds)
select
  group_key,
  list(t order by t, identity) filter (not doubtful) as moments,
  list(identity order by t, identity) filter (not doubtful) as identities,
  list(t) filter (doubtful) as doubtful
from (
  select
    key_of_group as group_key,
    epoch_us("timestamp") as t,
    identity,
    doubtful
  from fresh
  where list_contains($types, event_type)
    and coalesce(try(predicate), false)
    and key_of_group is not null
)
group by group_key
order by group_key;

-- name: spans_of_types($judged, $ahead)
-- When the first event of each type in the batch happened, the last of those that come too late to be judged live, and
-- the first that is dated further ahead than is kept.
-- returns: event_type, first_t, late_t, ahead_t (microseconds; the last two may be null)
select
  event_type,
  min(epoch_us("timestamp")) as first_t,
  max(epoch_us("timestamp")) filter ("timestamp" <= $judged) as late_t,
  min(epoch_us("timestamp")) filter ("timestamp" > $ahead) as ahead_t
from fresh
group by event_type
order by event_type;
