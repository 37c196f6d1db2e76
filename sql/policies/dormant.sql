-- name: awakened()
-- Only what was seen at any time before: the first event ever ends no silence.
create or replace temp table returns as
select
  s,
  t,
  t_before
from returns
where t_before is not null;

-- name: evidence()
-- The entities that are awake at the peak of each episode: when each came, and since when it had been silent.
-- returns: group_key, start, subject, at, silent_since
select
  groups.group_key,
  make_timestamptz(cast(at_peaks.starts_at as bigint)) as "start",
  subjects.subject,
  make_timestamptz(at_peaks.rise) as "at",
  make_timestamptz(at_peaks.t_before) as silent_since
from at_peaks
join subjects on at_peaks.s = subjects.s
join groups on at_peaks.g = groups.g
order by "start", groups.group_key, at_peaks.place;
