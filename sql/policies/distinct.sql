-- name: matching($types, $look_back, $until)
-- The measure distinct: the matching events that are in a group and have a value. The slots are those of
-- arrivals_by_group.sql, and `value_of_event`: the policy's `distinct`, or a list of several that is null where any is.
create or replace temp table matching as
select
  key_of_group as group_key,
  value_of_event as value,
  epoch_us("timestamp") as t
from events
where list_position($types, event_type) > 0
  and "timestamp" > $look_back
  and "timestamp" <= $until
  and coalesce(try(predicate), false)
  and key_of_group is not null
  and value_of_event is not null;

-- name: different()
-- The values, numbered from 0.
create or replace temp table different as
select
  row_number() over () - 1 as v,
  value
from (
  select distinct value
  from matching
);

-- name: valued()
-- When each value of each group was seen, in order. Group and value are one number, `pair`, the value in its lower half:
-- what follows compares rows with their neighbours, and each column more is paid for once a row.
create or replace temp table valued as
select
  (groups.g << 32) + different.v as pair,
  matching.t
from matching
join groups on matching.group_key = groups.group_key
join different on matching.value = different.value
order by pair, matching.t;

-- name: valued_of_all()
-- The same where nothing is grouped: there is the group 0 alone.
create or replace temp table valued as
select
  different.v as pair,
  matching.t
from matching
join different on matching.value = different.value
order by pair, matching.t;

-- name: spans($window_us)
-- A value counts for one window from each of its events on. Windows that overlap or touch are one interval: it begins
-- where the event before is of another pair or longer ago, and ends where the next one begins.
create or replace temp table spans as
select
  pair >> 32 as g,
  pair & 4294967295 as v,
  case when begins then t end as rise,
  case when ends then t + $window_us end as fall
from (
  select
    pair,
    t,
    begins,
    lead(begins, 1, true) over () as ends
  from (
    select
      pair,
      t,
      pair_before is distinct from pair or t - t_before > $window_us as begins
    from (
      select
        pair,
        t,
        lag(pair) over () as pair_before,
        lag(t) over () as t_before
      from valued
    )
  )
)
where begins
  or ends;

-- name: evidence($origin, $since, $window_us, $span_us)
-- The values that count at the peak of each episode, at most twenty, those that came first. The window of a peak lies in
-- two stretches of one window each, by which its events are found.
-- returns: group_key, start, value, first, last, events
with at_peaks as (
  select
    starts // $span_us as g,
    greatest(epoch_us($origin) + starts % $span_us, epoch_us($since)) as starts_at,
    greatest(epoch_us($origin) + peak_at % $span_us, epoch_us($since)) as peaks_at,
    unnest([0, 1]) as stretch
  from episodes
),

seen as materialized (
  select
    at_peaks.g,
    at_peaks.starts_at,
    valued.pair & 4294967295 as v,
    min(valued.t) as first_t,
    max(valued.t) as last_t,
    count(*) as events
  from at_peaks
  join valued
    on at_peaks.g = valued.pair >> 32
      and at_peaks.peaks_at // $window_us - at_peaks.stretch = valued.t // $window_us
      and valued.t > at_peaks.peaks_at - $window_us
      and valued.t <= at_peaks.peaks_at
  group by at_peaks.g, at_peaks.starts_at, valued.pair
),

-- When the twentieth came, or the last of fewer.
twentieth as (
  select
    g,
    starts_at,
    list_max(min(first_t, 20)) as first_t
  from seen
  group by g, starts_at
),

placed as (
  select
    seen.*,
    different.value,
    row_number() over (partition by seen.g, seen.starts_at order by seen.first_t, different.value) as place
  from seen
  join twentieth
    on seen.g = twentieth.g
      and seen.starts_at = twentieth.starts_at
      and seen.first_t <= twentieth.first_t
  join different on seen.v = different.v
)

select
  groups.group_key,
  make_timestamptz(cast(placed.starts_at as bigint)) as "start",
  placed.value,
  make_timestamptz(placed.first_t) as "first",
  make_timestamptz(placed.last_t) as "last",
  placed.events
from placed
join groups on placed.g = groups.g
where placed.place <= 20
order by "start", groups.group_key, placed.place;
