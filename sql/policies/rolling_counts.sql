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
-- Step 4: from where to where the count is at the threshold or above, with the highest count and where it is first
-- reached. The n-th run begins at the n-th rise to the threshold and ends at the n-th fall below it. Runs that touch are
-- one episode: a moment is judged after all that happens in it.
create or replace temp table runs as
with high as (
  select
    number,
    min(moment) as starts,
    max(events) as peak,
    arg_max(moment, events::hugeint * 18446744073709551616 - moment) as peak_at
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
  )
  group by number
),

below as (
  select
    moment as ends,
    row_number() over () as number
  from falls
  where place - 2 * rowid - 1 = $alert_threshold - 1
)

select
  *,
  count(case when ends_before is distinct from starts then 1 end) over (order by number) as episode
from (
  select
    high.*,
    below.ends,
    lag(below.ends) over (order by high.number) as ends_before
  from high
  join below on high.number = below.number
);

-- name: episodes()
-- Step 5: the maximal stretches at or above the threshold, with their peaks.
create or replace temp table episodes as
select
  episode,
  min(starts) as starts,
  max(ends) as ends,
  max(peak) as peak,
  arg_max(peak_at, peak::hugeint * 18446744073709551616 - peak_at) as peak_at
from runs
group by episode;

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
order by "start", groups.group_key;
