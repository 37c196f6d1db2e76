-- rolling_counts {'alert_threshold': 3, 'look_back': datetime.datetime(2026, 10, 24, 12, 0, tzinfo=datetime.timezone.utc), 'since': datetime.datetime(2026, 10, 25, 12, 0, tzinfo=datetime.timezone.utc), 'span_us': 2764800000001, 'types': ['auth_failure', 'login'], 'until': datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc), 'window_us': 86400000000}
-- name: moments()
-- The type and the time of every event: all that most steps need. A run that judges several policies keeps the governed
-- ones in memory under this name, instead of reading the files again for each.
create or replace temp view moments as
select event_type, "timestamp"
from events;

-- name: arrivals($types, $look_back, $since, $until, $window_us)
-- Question 1, step 1 for a policy without group_by and without a condition: when each governed event begins to count, and
-- when it no longer does. Times are microseconds since $look_back. What began before the period counts from its start.
create or replace temp table arrivals as
select
  epoch_us(greatest("timestamp", $since)) - epoch_us($look_back) as opens,
  epoch_us("timestamp") - epoch_us($look_back) + $window_us as closes
from moments
where list_contains($types, event_type)
  and "timestamp" > $look_back
  and "timestamp" <= $until;

-- name: groups()
-- The one group there is.
create or replace temp table groups as
select
  0 as g,
  cast([] as varchar[]) as group_key;

-- name: changes()
-- Question 1, step 2: every moment at which a rolling count changes, in order. The last bit is 1 where it rises by one
-- and 0 where it falls by one, so that at one instant what leaves is counted out before what arrives is counted in: an
-- event exactly one window old is out.
create or replace temp table changes as
select opens * 2 + 1 as change
from arrivals
union all
select closes * 2 as change
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

-- name: crossings($alert_threshold)
-- Step 4: where the count rises to the threshold, and where it falls below. They take turns. A fall and a rise at one
-- instant are no end and no beginning: a moment is judged after all that happens in it.
create or replace temp table crossings as
with every_crossing as (
  select moment, place, true as up
  from rises
  where 2 * rowid + 1 - place = $alert_threshold
  union all
  select moment, place, false as up
  from falls
  where place - 2 * rowid - 1 = $alert_threshold - 1
),

neighbours as (
  select
    moment,
    place,
    up,
    lag(moment) over (order by place) as previous_at,
    lead(moment) over (order by place) as next_at
  from every_crossing
)

select
  moment,
  up,
  case when up then previous_at is distinct from moment else next_at is distinct from moment end as counts,
  row_number() over (partition by up order by place) as number
from neighbours
order by place;

-- name: peaks($alert_threshold)
-- Step 5: the highest count after each rise to the threshold, and where it is first reached.
create or replace temp table peaks as
select
  number,
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
group by number;

-- name: episodes()
-- Step 6: the maximal stretches at or above the threshold, with their peaks. Two that touch are one.
create or replace temp table episodes as
with beginnings as (
  select
    moment,
    number,
    count(case when counts then 1 end) over (order by number) as episode
  from crossings
  where up
),

highest as (
  select
    beginnings.episode,
    min(beginnings.moment) as starts,
    max(peaks.peak) as peak,
    arg_max(peaks.peak_at, peaks.peak::hugeint * 18446744073709551616 - peaks.peak_at) as peak_at
  from beginnings
  join peaks on beginnings.number = peaks.number
  group by beginnings.episode
),

endings as (
  select
    moment as ends,
    row_number() over (order by number) as episode
  from crossings
  where not up
    and counts
)

select
  highest.episode,
  highest.starts,
  endings.ends,
  highest.peak,
  highest.peak_at
from highest
join endings on highest.episode = endings.episode;

-- name: rolling_counts($look_back, $since, $until, $span_us)
-- The episodes of the period (since, until], clipped to it; "end" is null where the count is still high at its end.
-- returns: group_key, start, end, ongoing, started_before_period, peak, peak_at
select
  groups.group_key,
  make_timestamptz(cast(epoch_us($look_back) + starts % $span_us as bigint)) as "start",
  case
    when epoch_us($look_back) + ends % $span_us <= epoch_us($until)
    then make_timestamptz(cast(epoch_us($look_back) + ends % $span_us as bigint))
  end as "end",
  epoch_us($look_back) + ends % $span_us > epoch_us($until) as ongoing,
  epoch_us($look_back) + starts % $span_us <= epoch_us($since) as started_before_period,
  cast(peak as bigint) as peak,
  make_timestamptz(cast(epoch_us($look_back) + peak_at % $span_us as bigint)) as peak_at
from episodes
join groups on episodes.starts // $span_us = groups.g
order by "start", groups.group_key;

-- name: daily_peaks($look_back, $since, $until, $window_us, $span_us)
-- For each UTC day with an instant in (since, until]: the largest rolling count of any group at any moment of it.
-- What is carried over midnight counts, so the count at each midnight is taken beside those at the rises.
-- returns: day (days since 1970), peak
with at_rises as (
  select
    (epoch_us($look_back) + moment % $span_us) // 86400000000 as day,
    max(2 * rowid + 1 - place) as peak
  from rises
  group by day
),

-- An arrival counts at every midnight from the first at or after it, until it is one window old.
spans as (
  select
    closes // $span_us as g,
    (epoch_us($look_back) + closes % $span_us - $window_us + 86399999999) // 86400000000 as first_day,
    (epoch_us($look_back) + closes % $span_us + 86399999999) // 86400000000 as end_day,
    count(*) as events
  from arrivals
  group by g, first_day, end_day
),

at_midnights as (
  select day, max(events) as peak
  from (
    select g, day, sum(events) as events
    from (
      select g, events, unnest(range(cast(first_day as bigint), cast(end_day as bigint))) as day
      from spans
    )
    where day * 86400000000 > epoch_us($since)
      and day * 86400000000 <= epoch_us($until)
    group by g, day
  )
  group by day
),

days as (
  select unnest(range((epoch_us($since) + 1) // 86400000000, epoch_us($until) // 86400000000 + 1)) as day
)

select
  days.day,
  cast(greatest(coalesce(at_rises.peak, 0), coalesce(at_midnights.peak, 0)) as bigint) as peak
from days
left join at_rises on days.day = at_rises.day
left join at_midnights on days.day = at_midnights.day
order by days.day;

-- threshold_totals {'alert_threshold': 3, 'as_of': datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc), 'types': ['auth_failure', 'login'], 'window_start': datetime.datetime(2026, 11, 23, 12, 0, tzinfo=datetime.timezone.utc)}
-- name: moments()
-- The type and the time of every event: all that most steps need. A run that judges several policies keeps the governed
-- ones in memory under this name, instead of reading the files again for each.
create or replace temp view moments as
select event_type, "timestamp"
from events;

-- name: threshold_totals($types, $as_of, $window_start)
-- Question 1's plain counts for a policy without a condition and without groups: then nothing is without a group or in error, and the
-- last window and what is later than as_of are all that has to be read.
-- returns: recent_events, ungrouped_events, where_errors, future_events
select
  count(*) filter ("timestamp" <= $as_of) as recent_events,
  0 as ungrouped_events,
  0 as where_errors,
  count(*) filter ("timestamp" > $as_of) as future_events
from moments
where list_contains($types, event_type)
  and "timestamp" > $window_start;

-- name: current_counts($types, $as_of, $window_start, $alert_threshold)
-- The one group there is, if it is at or above the threshold at as_of itself.
-- returns: group_key, events
select
  cast([] as varchar[]) as group_key,
  count(*) as events
from moments
where list_contains($types, event_type)
  and "timestamp" > $window_start
  and "timestamp" <= $as_of
having count(*) >= $alert_threshold;

-- required_types {'as_of': datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc), 'since': datetime.datetime(2026, 10, 25, 12, 0, tzinfo=datetime.timezone.utc), 'types': ['auth_failure', 'login'], 'until': datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc)}
-- name: moments()
-- The type and the time of every event: all that most steps need. A run that judges several policies keeps the governed
-- ones in memory under this name, instead of reading the files again for each.
create or replace temp view moments as
select event_type, "timestamp"
from events;

-- name: type_days($types, $since, $until, $as_of)
-- The governed events by type and UTC day, up to as_of: of all of them, and of those in the period.
create or replace temp table type_days as
select
  event_type,
  epoch_us("timestamp") // 86400000000 as day,
  count(*) as events_ever,
  count(*) filter ("timestamp" > $since and "timestamp" <= $until) as events,
  min("timestamp") as first_seen,
  max("timestamp") as last_seen
from moments
where list_contains($types, event_type)
  and "timestamp" <= $as_of
group by event_type, day;

-- name: required_types($types)
-- Every required type with its events in the period, zero included, and when it was first and last seen up to as_of.
-- returns: event_type, events, first_seen, last_seen
select
  required.event_type,
  cast(coalesce(sum(type_days.events), 0) as bigint) as events,
  min(type_days.first_seen) as first_seen,
  max(type_days.last_seen) as last_seen
from (select unnest($types) as event_type) as required
left join type_days on required.event_type = type_days.event_type
group by required.event_type
order by required.event_type;

-- name: type_day_counts()
-- The governed events of the period by type and UTC day (days since 1970); days with none are left out.
-- returns: event_type, day, events
select event_type, day, events
from type_days
where events > 0
order by event_type, day;

-- name: presence($since, $until, $as_of)
-- Whether anything at all was received in the period, and the lake's first event; what auditlake writes about itself
-- does not count as received.
-- returns: received, first_event
select
  exists (
    select 1
    from events
    where "timestamp" > $since
      and "timestamp" <= $until
      and source <> 'auditlake.self'
  ) as received,
  (
    select "timestamp"
    from events
    where "timestamp" <= $as_of
    order by "timestamp"
    limit 1
  ) as first_event;

-- retention {'as_of': datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc), 'cutoff': datetime.datetime(2026, 10, 25, 0, 0, tzinfo=datetime.timezone.utc), 'since': datetime.datetime(2026, 10, 25, 12, 0, tzinfo=datetime.timezone.utc), 'type_cutoffs': [datetime.datetime(2026, 10, 25, 0, 0, tzinfo=datetime.timezone.utc), datetime.datetime(2026, 10, 25, 0, 0, tzinfo=datetime.timezone.utc)], 'types': ['auth_failure', 'login'], 'until': datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc)}
-- name: moments()
-- The type and the time of every event: all that most steps need. A run that judges several policies keeps the governed
-- ones in memory under this name, instead of reading the files again for each.
create or replace temp view moments as
select event_type, "timestamp"
from events;

-- name: type_days($types, $since, $until, $as_of)
-- The governed events by type and UTC day, up to as_of: of all of them, and of those in the period.
create or replace temp table type_days as
select
  event_type,
  epoch_us("timestamp") // 86400000000 as day,
  count(*) as events_ever,
  count(*) filter ("timestamp" > $since and "timestamp" <= $until) as events,
  min("timestamp") as first_seen,
  max("timestamp") as last_seen
from moments
where list_contains($types, event_type)
  and "timestamp" <= $as_of
group by event_type, day;

-- name: retention($types, $type_cutoffs, $cutoff)
-- Question 3 for one policy where every cutoff is a midnight and nothing is on hold: whole days are older than a cutoff
-- or are not. Its governed events older than its own cutoff, each counted once; an event is due when the longest
-- retention of all policies that name its type has passed ($type_cutoffs has that cutoff for each of $types).
-- returns: held, kept_by_other_policies, due
select
  0 as held,
  cast(coalesce(sum(events_ever) filter (not expired), 0) as bigint) as kept_by_other_policies,
  cast(coalesce(sum(events_ever) filter (expired), 0) as bigint) as due
from (
  select
    events_ever,
    day * 86400000000 < epoch_us(list_extract($type_cutoffs, list_position($types, event_type))) as expired
  from type_days
  where day * 86400000000 < epoch_us($cutoff)
);
