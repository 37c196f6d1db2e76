-- name: matching($types, $history_start, $until)
-- The measure first_seen: the matching events that have an entity. The slots are those of arrivals_by_group.sql,
-- `entity_of_event` and `value_of_event`. An event without a value is one of its entity nevertheless.
create or replace temp table matching as
select
  key_of_group as group_key,
  entity_of_event as entity,
  value_of_event as value,
  epoch_us("timestamp") as t
from events
where list_position($types, event_type) > 0
  and "timestamp" > $history_start
  and "timestamp" <= $until
  and coalesce(try(predicate), false)
  and entity_of_event is not null;

-- name: entities()
-- The entities, numbered.
create or replace temp table entities as
select
  row_number() over () as e,
  entity
from (
  select distinct entity
  from matching
);

-- name: sightings()
-- When each value of each entity was seen, in order, and in which group, if any.
create or replace temp table sightings as
select
  entities.e,
  different.v,
  groups.g,
  matching.t
from matching
join entities on matching.entity = entities.entity
join different on matching.value = different.value
left join groups on matching.group_key = groups.group_key
order by entities.e, different.v, matching.t;

-- name: returns($look_back, $silence_us)
-- The sightings that may count: those with nothing of the value for $silence_us before, or nothing at all. Several of
-- one instant are one: of these only the first has the one before it that long ago.
create or replace temp table returns as
select
  e,
  v,
  g,
  t,
  t_before
from (
  select
    e,
    v,
    g,
    t,
    case when lag(e) over () = e and lag(v) over () = v then lag(t) over () end as t_before
  from sightings
)
where t > epoch_us($look_back)
  and (t_before is null or t - t_before >= $silence_us);

-- name: entity_times()
-- When each entity was seen.
create or replace temp table entity_times as
select
  entities.e,
  matching.t
from matching
join entities on matching.entity = entities.entity;

-- name: learned($silence_us, $learn_us)
-- Only what an entity does that was known: that was seen $learn_us before, and not longer ago than is remembered.
create or replace temp table returns as
select
  sighted.e,
  sighted.v,
  sighted.g,
  sighted.t,
  sighted.t_before
from (
  select
    *,
    t - $learn_us as known_at
  from returns
) as sighted
asof join entity_times
  on sighted.e = entity_times.e
    and sighted.known_at >= entity_times.t
where entity_times.t > sighted.t - $silence_us;

-- name: spans($window_us)
-- Each of them counts for one window, in every group that an event of it is in.
create or replace temp table spans as
select distinct
  sightings.g,
  returns.e,
  returns.v,
  returns.t as rise,
  returns.t + $window_us as fall,
  returns.t_before
from returns
join sightings on returns.e = sightings.e and returns.v = sightings.v and returns.t = sightings.t
where sightings.g is not null;

-- name: spans_by_subject($window_us)
-- The same where entity and value tell the group: all events of one instant are in it.
create or replace temp table spans as
select
  g,
  e,
  v,
  t as rise,
  t + $window_us as fall,
  t_before
from returns
where g is not null;

-- name: returns_from_long_ago($types, $history_start)
-- What counts at the peaks, and has nothing before: when it was seen last in the older days. Asked for these alone.
create or replace temp table returns as
select
  unseen.e,
  unseen.v,
  max(epoch_us(events."timestamp")) as t_before
from events
join (
  select distinct
    e,
    v,
    entity,
    value
  from at_peaks
  where t_before is null
) as unseen on entity_of_event = unseen.entity and value_of_event = unseen.value
where list_position($types, events.event_type) > 0
  and events."timestamp" <= $history_start
  and coalesce(try(predicate), false)
group by unseen.e, unseen.v;

-- name: evidence($silence_us)
-- The values that are new at the peak of each episode: when each came, when it was seen before, and since when, as far as
-- is remembered, its entity has been known.
-- returns: group_key, start, entity, value, at, last_seen, known_since
select
  groups.group_key,
  make_timestamptz(cast(sighted.starts_at as bigint)) as "start",
  sighted.entity,
  sighted.value,
  make_timestamptz(sighted.rise) as "at",
  make_timestamptz(coalesce(sighted.t_before, returns.t_before)) as last_seen,
  make_timestamptz(case when entity_times.t < sighted.rise then entity_times.t end) as known_since
from (
  select
    *,
    rise - $silence_us as remembered_after
  from at_peaks
) as sighted
asof left join (
  select
    e,
    t
  from entity_times
  where e in (
    select e
    from at_peaks
  )
) as entity_times
  on sighted.e = entity_times.e
    and sighted.remembered_after < entity_times.t
join groups on sighted.g = groups.g
left join returns on sighted.e = returns.e and sighted.v = returns.v
order by "start", groups.group_key, sighted.place;
