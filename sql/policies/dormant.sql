-- name: matching($types, $history_start, $until)
-- The measure dormant: the matching events that have an entity. The slots are those of arrivals_by_group.sql, and
-- `entity_of_event`.
create or replace temp table matching as
select
  key_of_group as group_key,
  entity_of_event as entity,
  epoch_us("timestamp") as t
from events
where list_position($types, event_type) > 0
  and "timestamp" > $history_start
  and "timestamp" <= $until
  and coalesce(try(predicate), false)
  and entity_of_event is not null;

-- name: seen_again($look_back, $silence_us)
-- When entities may be awake: with nothing of them for $silence_us before, or nothing at all. Time is cut into stretches
-- of that length: such an event is the first in its stretch, and the newest before it the last of the stretch before.
create or replace temp table seen_again as
select
  entity,
  t,
  t_before
from (
  select
    entity,
    t,
    lag(last_t) over (partition by entity order by stretch) as t_before
  from (
    select
      entity,
      t // $silence_us as stretch,
      min(t) as t,
      max(t) as last_t
    from matching
    group by entity, stretch
  )
)
where t > epoch_us($look_back)
  and (t_before is null or t - t_before >= $silence_us);

-- name: returns($types, $history_start)
-- They are awake if they were seen at any time before: the first event ever ends no silence. The older days are asked for
-- those alone that have nothing since.
create or replace temp table returns as
select
  seen_again.entity,
  seen_again.t,
  coalesce(seen_again.t_before, older.t) as t_before
from seen_again
left join (
  select
    unseen.entity,
    max(epoch_us(events."timestamp")) as t
  from events
  join (
    select distinct entity
    from seen_again
    where t_before is null
  ) as unseen on entity_of_event = unseen.entity
  where list_position($types, events.event_type) > 0
    and events."timestamp" <= $history_start
    and coalesce(try(predicate), false)
  group by unseen.entity
) as older on seen_again.entity = older.entity
where seen_again.t_before is not null
  or older.t is not null;

-- name: entities()
-- The entities that are awake at any time, numbered.
create or replace temp table entities as
select
  row_number() over () as e,
  entity
from (
  select distinct entity
  from returns
);

-- name: different()
-- They have no value.
create or replace temp table different as
select
  cast(null as bigint) as v,
  cast(null as varchar) as value
limit 0;

-- name: spans($window_us)
-- Each return counts for one window, in every group that an event of it is in.
create or replace temp table spans as
select distinct
  groups.g,
  entities.e,
  cast(null as bigint) as v,
  returns.t as rise,
  returns.t + $window_us as fall,
  returns.t_before
from returns
join entities on returns.entity = entities.entity
join matching on returns.entity = matching.entity and returns.t = matching.t
join groups on matching.group_key = groups.group_key;

-- name: evidence()
-- The entities that are awake at the peak of each episode: when each came, and since when it had been silent.
-- returns: group_key, start, entity, at, silent_since
select
  groups.group_key,
  make_timestamptz(cast(at_peaks.starts_at as bigint)) as "start",
  at_peaks.entity,
  make_timestamptz(at_peaks.rise) as "at",
  make_timestamptz(at_peaks.t_before) as silent_since
from at_peaks
join groups on at_peaks.g = groups.g
order by "start", groups.group_key, at_peaks.place;
