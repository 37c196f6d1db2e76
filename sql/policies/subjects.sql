-- name: matching($types, $history_start, $until)
-- The measures first_seen and dormant, which look far back: the matching events that have an entity. The slots are those
-- of arrivals_by_group.sql, `subject_of_event` (of first_seen the entity and the value, of dormant the entity) and
-- `entity_of_event`. An event without a value has no subject, and is one of its entity nevertheless.
create or replace temp table matching as
select
  key_of_group as group_key,
  subject_of_event as subject,
  entity_of_event as entity,
  epoch_us("timestamp") as t
from events
where list_position($types, event_type) > 0
  and "timestamp" > $history_start
  and "timestamp" <= $until
  and coalesce(try(predicate), false)
  and entity_of_event is not null;

-- name: groups()
-- The groups, numbered from 0.
create or replace temp table groups as
select
  row_number() over (order by group_key) - 1 as g,
  group_key
from (
  select distinct group_key
  from matching
  where group_key is not null
);

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

-- name: subjects()
-- The subjects, numbered, each with its entity.
create or replace temp table subjects as
select
  row_number() over () as s,
  found.subject,
  entities.e
from (
  select
    subject,
    any_value(entity) as entity
  from matching
  where subject is not null
  group by subject
) as found
join entities on found.entity = entities.entity;

-- name: sightings()
-- When each subject was seen, in order, and in which group, if any.
create or replace temp table sightings as
select
  subjects.s,
  subjects.e,
  groups.g,
  matching.t
from matching
join subjects on matching.subject = subjects.subject
left join groups on matching.group_key = groups.group_key
order by subjects.s, matching.t;

-- name: returns($look_back, $silence_us)
-- The sightings that may count: those with nothing of the subject for $silence_us before, or nothing at all. Several of
-- one instant are one: of these only the first has the one before it that long ago.
create or replace temp table returns as
select
  s,
  e,
  t,
  t_before
from (
  select
    s,
    e,
    t,
    case when lag(s) over () = s then lag(t) over () end as t_before
  from sightings
)
where t > epoch_us($look_back)
  and (t_before is null or t - t_before >= $silence_us);

-- name: returns_from_long_ago($types, $history_start)
-- When the subjects with nothing before were seen last in the older days: asked for these alone.
create or replace temp table returns as
select
  returns.s,
  returns.t,
  coalesce(returns.t_before, older.t) as t_before
from returns
left join (
  select
    subjects.s,
    max(epoch_us(events."timestamp")) as t
  from events
  join subjects on subject_of_event = subjects.subject
  where list_position($types, events.event_type) > 0
    and events."timestamp" <= $history_start
    and coalesce(try(predicate), false)
    and subjects.s in (
      select s
      from returns
      where t_before is null
    )
  group by subjects.s
) as older on returns.s = older.s;

-- name: spans($window_us)
-- Each of them counts for one window, in every group that an event of it is in.
create or replace temp table spans as
select distinct
  sightings.g,
  returns.s,
  returns.t as rise,
  returns.t + $window_us as fall,
  returns.t_before
from returns
join sightings on returns.s = sightings.s and returns.t = sightings.t
where sightings.g is not null;

-- name: at_peaks($origin, $since, $window_us, $span_us)
-- What counts at the peak of each episode, at most twenty, those that came first. The window of a peak lies in two
-- stretches of one window each, by which it is found.
create or replace temp table at_peaks as
select
  found.g,
  found.starts_at,
  spans.s,
  spans.rise,
  spans.t_before,
  row_number() over (partition by found.g, found.starts_at order by spans.rise, subjects.subject) as place
from (
  select
    starts // $span_us as g,
    greatest(epoch_us($origin) + starts % $span_us, epoch_us($since)) as starts_at,
    greatest(epoch_us($origin) + peak_at % $span_us, epoch_us($since)) as peaks_at,
    unnest([0, 1]) as stretch
  from episodes
) as found
join spans
  on found.g = spans.g
    and found.peaks_at // $window_us - found.stretch = spans.rise // $window_us
    and spans.rise > found.peaks_at - $window_us
    and spans.rise <= found.peaks_at
join subjects on spans.s = subjects.s
qualify place <= 20;
