-- What the evaluator of alerts asks of the lake: when it begins, and of events that came too late to be counted live.
-- `events` shows the lake and, when it begins, what of the landing is not in the table yet.

-- name: landed()
-- What lies in the landing behind the table's positions: like events, with a batch that says whether it was judged.
create or replace temp table landed (
  seq bigint,
  event_id varchar,
  event_type varchar,
  "timestamp" timestamptz,
  user_id varchar,
  action varchar,
  resource varchar,
  status varchar,
  details varchar,
  metadata varchar,
  session_id varchar,
  ip_address varchar,
  source varchar,
  ingested_at timestamptz,
  batch bigint,
  event_date date
);

-- name: land($now, $batch)
-- Take what is staged.
insert into landed
select
  seq,
  coalesce(event_id, 'record ' || seq) as event_id,
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
  $batch as batch,
  cast("timestamp" as date) as event_date
from staged
where reason is null;

-- name: landed_once()
-- Each of them once, and without those that the table has under the same id. A duplicate has the time of its original,
-- so no more of the table is looked at than the time that they span.
create or replace temp table landed_once as
with firsts as (
  select *
  from landed
  qualify row_number() over (partition by source, event_id order by seq) = 1
),

span as (
  select
    min("timestamp") as first_event,
    max("timestamp") as last_event
  from firsts
),

known as (
  select
    lake_events.source,
    lake_events.event_id
  from lake_events
  join span
    on lake_events."timestamp" >= span.first_event
      and lake_events."timestamp" <= span.last_event
)

select firsts.*
from firsts
anti join known
  on firsts.source = known.source and firsts.event_id = known.event_id;

-- name: events()
-- The table and the landing.
create or replace temp view events as
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
  ingested_at,
  batch,
  event_date
from lake_events
union all
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
  ingested_at,
  batch,
  event_date
from landed_once;

-- name: recent($types, $alert_threshold, $after, $judged, $until)
-- What a policy's counts are made of from now on: of what is no longer judged live, each group's newest events, as many
-- as the threshold; all that is later. The slots are those of sql/policies.
-- returns: group_key, moments (microseconds), identities, doubtful (none)
select
  group_key,
  list(t order by t, identity) as moments,
  list(identity order by t, identity) as identities,
  cast([] as bigint[]) as doubtful
from (
  select
    key_of_group as group_key,
    epoch_us("timestamp") as t,
    hash(source, event_id) as identity,
    "timestamp" > $judged as is_live,
    row_number() over (
      partition by key_of_group, "timestamp" <= $judged
      order by "timestamp" desc
    ) as place
  from events
  where list_contains($types, event_type)
    and "timestamp" > $after
    and "timestamp" <= $until
    and coalesce(try(predicate), false)
    and key_of_group is not null
)
where is_live
  or place <= $alert_threshold
group by group_key
order by group_key;

-- name: brought($types, $batches, $after, $until)
-- What a policy counts of the events that some batches brought.
-- returns: group_key, moments (microseconds), identities, doubtful (none)
select
  group_key,
  list(t order by t, identity) as moments,
  list(identity order by t, identity) as identities,
  cast([] as bigint[]) as doubtful
from (
  select
    key_of_group as group_key,
    epoch_us("timestamp") as t,
    hash(source, event_id) as identity
  from events
  where list_contains($types, event_type)
    and list_contains($batches, batch)
    and "timestamp" > $after
    and "timestamp" <= $until
    and coalesce(try(predicate), false)
    and key_of_group is not null
)
group by group_key
order by group_key;

-- name: latecomers($types, $batches, $judged, $reach_us)
-- The stretches of each group in which those batches brought events that are too old to be judged live; what is no
-- further apart than $reach_us is one stretch.
-- returns: group_key, first_t, last_t (microseconds)
with late as (
  select
    key_of_group as group_key,
    epoch_us("timestamp") as t
  from events
  where list_contains($types, event_type)
    and list_contains($batches, batch)
    and "timestamp" <= $judged
    and coalesce(try(predicate), false)
    and key_of_group is not null
),

marked as (
  select
    group_key,
    t,
    coalesce(t - lag(t) over (partition by group_key order by t) > $reach_us, false) as begins
  from late
),

numbered as (
  select
    group_key,
    t,
    count(case when begins then 1 end) over (partition by group_key order by t) as stretch
  from marked
)

select
  group_key,
  min(t) as first_t,
  max(t) as last_t
from numbered
group by group_key, stretch
order by group_key, first_t;

-- name: counts_at($types, $window_us, $after, $until)
-- How many events of its group are in the window at each of some instants: `instants` has number, group_key and at.
-- returns: number, events
select
  instants.number,
  count(*) as events
from instants
join (
  select
    key_of_group as group_key,
    epoch_us("timestamp") as t
  from events
  where list_contains($types, event_type)
    and "timestamp" > $after
    and "timestamp" <= $until
    and coalesce(try(predicate), false)
    and key_of_group is not null
) as governed
  on instants.group_key = governed.group_key
    and governed.t <= instants.at
    and governed.t > instants.at - $window_us
group by instants.number;

-- name: recently_seen($after, $most)
-- What was read lately, for the memory of the micro-batches: the newest first.
-- returns: identity, content
select
  hash(source, event_id) as identity,
  hash(
    event_type, "timestamp", user_id, action, resource, status, details, metadata, session_id, ip_address
  ) as content
from events
where "timestamp" > $after
order by "timestamp" desc
limit $most;

-- name: next_ahead($after)
-- The first event that is dated further ahead than is kept.
-- returns: instant
select min("timestamp") as instant
from events
where "timestamp" > $after;
