-- name: changes($window_us)
-- Question 1, step 2: every moment at which a rolling count changes, in order. Step 1, the table arrivals, is in
-- arrivals.sql, and in arrivals_by_group.sql where the policy counts by group. The last bit is 1 where it rises by one
-- and 0 where it falls by one, so that at one instant what leaves is counted out before what arrives is counted in: an
-- event exactly one window old is out.
create or replace temp table changes as
select moment * 2 + 1 as change
from arrivals
union all
select (moment + $window_us) * 2 as change
from arrivals
order by change;

-- name: rises()
-- Step 3: the rises in order. Of the `place` changes before the n-th rise (n from 0), n are rises, the others are falls:
-- the count after it is n + 1 - (place - n). No window function is needed, and groups need no care: each ends at 0.
create or replace temp table rises as
select
  change >> 1 as moment,
  rowid as place
from changes
where change & 1 = 1;

-- name: falls()
-- The falls in order: after the n-th of them (n from 0) the count is place - n rises less n + 1 falls.
create or replace temp table falls as
select
  change >> 1 as moment,
  rowid as place
from changes
where change & 1 = 0;

-- name: runs($alert_threshold)
-- Step 4: from where to where the count is at the threshold or above. The n-th run begins at the n-th rise to the
-- threshold and ends at the n-th fall below it. Runs that touch are one episode, which begins with the first of them: a
-- moment is judged after all that happens in it.
create or replace temp table runs as
select
  *,
  count(case when begins then 1 end) over (rows unbounded preceding) as episode
from (
  select
    *,
    lag(ends) over () is distinct from starts as begins
  from (
    select
      moment as starts,
      row_number() over () as number
    from rises
    where 2 * rowid + 1 - place = $alert_threshold
  ) as reached
  positional join (
    select moment as ends
    from falls
    where place - 2 * rowid - 1 = $alert_threshold - 1
  ) as below
);

-- name: episodes($alert_threshold)
-- Step 5: the maximal stretches at or above the threshold, with the highest count and where it is first reached. Only
-- those of several runs are grouped, and those that rise above the threshold: there may be millions of others.
create or replace temp table episodes as
with higher as (
  select
    runs.episode,
    max(high.events) as peak,
    arg_max(high.moment, high.events::hugeint * 18446744073709551616 - high.moment) as peak_at
  from (
    select
      moment,
      events,
      count(case when events = $alert_threshold then 1 end) over (rows unbounded preceding) as number
    from (
      select moment, 2 * rowid + 1 - place as events
      from rises
    )
    where events >= $alert_threshold
  ) as high
  join runs on high.number = runs.number
  where high.events > $alert_threshold
  group by runs.episode
),

longer as (
  select episode, max(ends) as ends
  from runs
  where not begins
  group by episode
)

select
  runs.episode,
  runs.starts,
  coalesce(longer.ends, runs.ends) as ends,
  coalesce(higher.peak, $alert_threshold) as peak,
  coalesce(higher.peak_at, runs.starts) as peak_at
from runs
left join longer on runs.episode = longer.episode
left join higher on runs.episode = higher.episode
where runs.begins;

-- name: rolling_counts($origin, $since, $until, $span_us)
-- The episodes of the period (since, until], clipped to it: none ends before it, since what counts at its start is less
-- than a window old; "end" is null where the count is still high at its end.
-- returns: group_key, start, end, ongoing, started_before_period, peak, peak_at
select
  groups.group_key,
  make_timestamptz(cast(greatest(starts_at, epoch_us($since)) as bigint)) as "start",
  case when ends_at <= epoch_us($until) then make_timestamptz(cast(ends_at as bigint)) end as "end",
  ends_at > epoch_us($until) as ongoing,
  starts_at <= epoch_us($since) as started_before_period,
  cast(peak as bigint) as peak,
  make_timestamptz(cast(greatest(peaks_at, epoch_us($since)) as bigint)) as peak_at
from (
  select
    starts // $span_us as g,
    epoch_us($origin) + starts % $span_us as starts_at,
    epoch_us($origin) + ends % $span_us as ends_at,
    epoch_us($origin) + peak_at % $span_us as peaks_at,
    peak
  from episodes
) as found
join groups on found.g = groups.g
order by "start", groups.g;
