-- What the evaluator of alerts asks of the lake: when it begins, and of events that came too late to be counted live.
-- `events` shows the table and, when it begins, what of the landing is not in it yet, which has no batch.

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

-- name: latecomers($types, $batches, $landing, $judged, $reach_us)
-- The stretches of each group in which some batches, or with $landing the landing, brought events that are too old to be
-- judged live; what is no further apart than $reach_us is one stretch.
-- returns: group_key, first_t, last_t (microseconds)
with late as (
  select
    key_of_group as group_key,
    epoch_us("timestamp") as t
  from events
  where list_contains($types, event_type)
    and case when $landing then batch is null else list_contains($batches, batch) end
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

-- name: counts_at($types, $keys, $instants, $window_us, $after, $until)
-- How many events of its group are in the window at each of some instants, of which $keys has the groups; in their order.
-- returns: number, events
with asked as (
  select
    unnest(range(len($instants))) as number,
    unnest($keys) as group_key,
    unnest($instants) as t
)

select
  asked.number,
  count(governed.t) as events
from asked
left join (
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
  on asked.group_key = governed.group_key
    and governed.t <= asked.t
    and governed.t > asked.t - $window_us
group by asked.number
order by asked.number;

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

-- name: spans_brought($batches, $landing, $judged)
-- When the first event of each type happened that some batches brought, or with $landing the landing, and the last of
-- those that are too old to be judged live.
-- returns: event_type, first_t, late_t (microseconds; the latter may be null)
select
  event_type,
  min(epoch_us("timestamp")) as first_t,
  max(epoch_us("timestamp")) filter ("timestamp" <= $judged) as late_t
from events
where list_contains($batches, batch)
  or ($landing and batch is null)
group by event_type
order by event_type;

-- name: measures_at($keys, $instants)
-- What a measure that is a set of intervals is at each of some instants, of which $keys has the groups; in their order.
-- The tables spans and groups are those that its episodes were found with.
-- returns: number, measure
with asked as (
  select
    unnest(range(len($instants))) as number,
    unnest($keys) as group_key,
    unnest($instants) as t
)

select
  asked.number,
  count(*) filter (spans.rise <= asked.t) - count(*) filter (spans.fall <= asked.t) as measure
from asked
join groups on asked.group_key = groups.group_key
join spans on groups.g = spans.g
group by asked.number
order by asked.number;
