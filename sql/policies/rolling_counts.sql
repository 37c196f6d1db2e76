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

-- name: bounds($alert_threshold)
-- Step 4: where the count reaches the threshold and where it falls below it again, side by side. A moment is judged after
-- all that happens in it: where the count falls below the threshold and reaches it again, nothing ends or begins.
create or replace temp table bounds as
select starts, ends
from (
  select
    moment as starts,
    lead(moment) over () as ends,
    begins
  from (
    select
      change >> 1 as moment,
      change & 1 = 1 as begins,
      lag(change >> 1) over () as moment_before,
      lead(change >> 1) over () as moment_after
    from (
      select
        change,
        sum(case when change & 1 = 1 then 1 else -1 end) over (rows unbounded preceding) as events
      from changes
    )
    where events = $alert_threshold - 1 + (change & 1)
  )
  where moment is distinct from moment_before
    and moment is distinct from moment_after
)
where begins;

-- name: episodes($alert_threshold)
-- Step 5: the maximal stretches at or above the threshold, with the highest count and where it is first reached. Only what
-- rises above the threshold is looked through for peaks: there may be millions of other episodes.
create or replace temp table episodes as
with higher as (
  select
    bounds.starts,
    max(high.events) as peak,
    arg_max(high.moment, high.events::hugeint * 18446744073709551616 - high.moment) as peak_at
  from (
    select moment, 2 * rowid + 1 - place as events
    from rises
    where 2 * rowid + 1 - place > $alert_threshold
  ) as high
  asof join bounds on high.moment >= bounds.starts
  group by bounds.starts
)

select
  bounds.starts,
  bounds.ends,
  coalesce(higher.peak, $alert_threshold) as peak,
  coalesce(higher.peak_at, bounds.starts) as peak_at
from bounds
left join higher on bounds.starts = higher.starts;

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
