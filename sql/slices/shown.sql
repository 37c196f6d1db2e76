-- name: groups()
-- The groups that have episodes.
-- returns: g
select distinct g
from episodes;

-- name: fifth()
-- For the page: the instant of the fifth-newest counted event of a group up to the peak of each shown episode; none where
-- the group has fewer. `shown` has the first episodes, numbered.
-- returns: episode, moment
select episode, moment
from (
  select
    shown.episode,
    governed.t as moment,
    row_number() over (partition by shown.episode order by governed.t desc) as place
  from governed
  join shown
    on governed.g = shown.g
      and governed.t <= shown.peak_at
) as newest
where place = 5;

-- name: shown($keys, $starts, $from_ts, $peak_ats)
-- The same episodes in DuckDB, for sql/policies/samples.sql: the key of each one's group, when it starts, and between
-- which instants the events at its peak lie, in microseconds. For groups by one value.
create or replace temp table shown as
select
  generate_subscripts($starts, 1) as episode,
  unnest(cast($keys as varchar[])) as group_key,
  unnest($starts) as starts,
  unnest($from_ts) as from_t,
  unnest($peak_ats) as peak_at;

-- name: shown_by_several($keys, $starts, $from_ts, $peak_ats)
-- The same for groups by several values, or by none: a key is a list.
create or replace temp table shown as
select
  generate_subscripts($starts, 1) as episode,
  unnest(cast($keys as varchar[][])) as group_key,
  unnest($starts) as starts,
  unnest($from_ts) as from_t,
  unnest($peak_ats) as peak_at;
