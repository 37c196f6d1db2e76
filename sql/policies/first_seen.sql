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
  sighted.s,
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

-- name: shown()
-- Those that count at the peak of an episode: of them alone it is asked when they were seen last in the older days.
create or replace temp table returns as
select distinct
  s,
  rise as t,
  t_before
from at_peaks;

-- name: evidence($silence_us)
-- The values that are new at the peak of each episode: when each came, when it was seen before, and since when, as far as
-- is remembered, its entity has been known.
-- returns: group_key, start, subject, at, last_seen, known_since
select
  groups.group_key,
  make_timestamptz(cast(sighted.starts_at as bigint)) as "start",
  sighted.subject,
  make_timestamptz(sighted.rise) as "at",
  make_timestamptz(returns.t_before) as last_seen,
  make_timestamptz(case when entity_times.t < sighted.rise then entity_times.t end) as known_since
from (
  select
    at_peaks.*,
    subjects.subject,
    subjects.e,
    at_peaks.rise - $silence_us as remembered_after
  from at_peaks
  join subjects on at_peaks.s = subjects.s
) as sighted
asof left join entity_times
  on sighted.e = entity_times.e
    and sighted.remembered_after < entity_times.t
join groups on sighted.g = groups.g
join returns on sighted.s = returns.s and sighted.rise = returns.t
order by "start", groups.group_key, sighted.place;
