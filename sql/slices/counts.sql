-- name: governed($look_back_us, $until_us)
-- The events that count, by group: those that meet the condition and have a group.
select g, t
from leaf
where verdict = 1
  and g is not null
  and t > $look_back_us
  and t <= $until_us;

-- name: counts($slice_us)
-- How many events each slice of time has, and when the first of them is. The only pass over all events.
select
  g,
  t - t % $slice_us as slice,
  count(*) as events,
  min(t) as first_t
from governed
group by g, t - t % $slice_us;

-- name: sums($since_us, $until_us, $window_us, $slice_us)
-- What rises and what falls in each slice, and when the first of it does: an event counts from its time on, from the
-- period's start at the earliest, until it is one window old.
select
  g,
  slice,
  cast(sum(rises) as bigint) as rises,
  cast(sum(falls) as bigint) as falls,
  min(first_at) as first_at
from (
  select
    g,
    case when slice < $since_us - $since_us % $slice_us then $since_us - $since_us % $slice_us else slice end as slice,
    events as rises,
    0 as falls,
    case when first_t < $since_us then $since_us else first_t end as first_at
  from counts
  union all
  select
    g,
    slice + $window_us as slice,
    0 as rises,
    events as falls,
    first_t + $window_us as first_at
  from counts
  where slice + $window_us <= $until_us - $until_us % $slice_us
    and first_t + $window_us <= $until_us
) as sides
group by g, slice;

-- name: bounds($until_us)
-- What is carried into each slice: a sum over slices instead of events.
select
  g,
  slice,
  rises,
  falls,
  first_at,
  lead(first_at, 1, $until_us + 1) over (partition by g order by slice) as next_at,
  cast(
    coalesce(
      sum(rises - falls) over (partition by g order by slice rows between unbounded preceding and 1 preceding),
      0
    ) as bigint
  ) as carried
from sums;

-- name: judged($alert_threshold)
-- The count within a slice lies between what is carried less all that falls and what is carried with all that rises.
-- Slices that are high all through and follow each other are certainly of one episode, of one `run`.
select
  g,
  slice,
  rises,
  falls,
  next_at,
  carried,
  carried + rises as most,
  carried + rises - falls as after,
  case when carried - falls >= $alert_threshold then 1 else 0 end as high,
  sum(case when carried - falls >= $alert_threshold then 0 else 1 end) over (
    partition by g order by slice rows unbounded preceding
  ) as run,
  slice - slice % 86400000000 as day
from bounds;

-- name: kept($alert_threshold)
-- The slices in which an episode can begin or end, or the peak of an episode or of a day can lie. What the others hold
-- is never looked at event by event.
select g, slice, carried
from (
  select
    *,
    max(after) over (partition by g, run, high) as reached_in_run,
    max(after) over (partition by day) as reached_on_day
  from judged
) as reached
where (high = 0 and most >= $alert_threshold)
  or (high = 1 and most >= reached_in_run)
  or most >= reached_on_day;

-- name: levels($since_us, $until_us, $window_us, $slice_us)
-- The second look at events, those of the kept slices: the count after each instant and before it, judged once all that
-- happens in the instant has happened.
select
  g,
  slice,
  moment,
  level,
  coalesce(lag(level) over (partition by g, slice order by moment), carried) as before
from (
  select
    g,
    slice,
    moment,
    carried,
    carried + sum(delta) over (partition by g, slice order by moment) as level,
    lead(moment) over (partition by g, slice order by moment) as next_moment
  from (
    select
      kept.g,
      kept.slice,
      kept.carried,
      moved.moment,
      moved.delta
    from (
      select
        g,
        case when t < $since_us then $since_us else t end as moment,
        case when t < $since_us then $since_us - $since_us % $slice_us else t - t % $slice_us end as slice,
        1 as delta
      from governed
      union all
      select
        g,
        t + $window_us as moment,
        (t + $window_us) - (t + $window_us) % $slice_us as slice,
        -1 as delta
      from governed
      where t + $window_us <= $until_us
    ) as moved
    join kept
      on moved.g = kept.g
        and moved.slice = kept.slice
  ) as changes
) as counted
where next_moment is null
  or next_moment > moment;

-- name: pieces($alert_threshold)
-- The stretches at or above the threshold within a slice; number 0 goes on with one of an earlier slice.
select
  g,
  slice,
  piece,
  min(case when before < $alert_threshold then moment end) as starts,
  max(case when level < $alert_threshold then moment end) as ends,
  max(case when place = 1 and level >= $alert_threshold then level end) as peak,
  max(case when place = 1 and level >= $alert_threshold then moment end) as peak_at
from (
  select
    *,
    row_number() over (partition by g, slice, piece order by level desc, moment) as place
  from (
    select
      *,
      sum(case when before < $alert_threshold then 1 else 0 end) over (
        partition by g, slice order by moment rows unbounded preceding
      ) as piece
    from levels
    where level >= $alert_threshold
      or before >= $alert_threshold
  ) as high
) as ranked
group by g, slice, piece;

-- name: episodes()
-- A piece numbered above 0 begins an episode. Its peak is the highest count, and the earliest instant of it; without an
-- end it is high at the period's end.
select
  g,
  min(starts) as starts,
  max(ends) as ends,
  cast(max(peak) as bigint) as peak,
  max(case when place = 1 then peak_at end) as peak_at
from (
  select
    *,
    row_number() over (partition by g, episode order by peak desc nulls last, peak_at) as place
  from (
    select
      *,
      sum(case when piece > 0 then 1 else 0 end) over (partition by g order by slice, piece rows unbounded preceding)
        as episode
    from pieces
  ) as numbered
) as ranked
group by g, episode;

-- name: found()
-- returns: g, starts, ends, peak, peak_at
select g, starts, ends, peak, peak_at
from episodes;

-- name: day_peaks()
-- The highest count of stretches of days: of what is carried on, over days without any change as well, and of what was
-- counted exactly.
-- returns: from_day, to_day (in microseconds), peak
select
  day as from_day,
  (next_at - 1) - (next_at - 1) % 86400000000 as to_day,
  cast(max(after) as bigint) as peak
from judged
group by day, (next_at - 1) - (next_at - 1) % 86400000000
union all
select
  slice - slice % 86400000000 as from_day,
  slice - slice % 86400000000 as to_day,
  cast(max(level) as bigint) as peak
from levels
group by slice - slice % 86400000000;

-- name: current_counts($as_of_us, $window_start_us, $alert_threshold)
-- The groups at or above the threshold at as_of itself.
-- returns: g, events
select g, count(*) as events
from leaf
where verdict = 1
  and g is not null
  and t > $window_start_us
  and t <= $as_of_us
group by g
having count(*) >= $alert_threshold;

-- name: threshold_totals($since_us, $until_us, $as_of_us, $window_start_us)
-- The plain counts beside the threshold.
-- returns: recent_events, ungrouped_events, where_errors, future_events
select
  cast(coalesce(sum(case when verdict = 1 and t > $window_start_us and t <= $as_of_us then 1 else 0 end), 0) as bigint),
  cast(coalesce(sum(case when verdict = 1 and g is null and t > $since_us and t <= $until_us then 1 else 0 end), 0) as bigint),
  cast(coalesce(sum(case when verdict is null and t > $since_us and t <= $until_us then 1 else 0 end), 0) as bigint),
  cast(coalesce(sum(case when t > $as_of_us then 1 else 0 end), 0) as bigint)
from leaf;
