-- rolling_counts {'alert_threshold': 3, 'look_back': datetime.datetime(2026, 10, 24, 12, 0, tzinfo=datetime.timezone.utc), 'since': datetime.datetime(2026, 10, 25, 12, 0, tzinfo=datetime.timezone.utc), 'types': ['auth_failure', 'login'], 'until': datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc), 'window_us': 86400000000}
-- name: moments($types)
-- The type and the time of every governed event: read once from the files, asked several times. A run that judges many
-- policies reads for all of them together; each later step names its own types.
create or replace temp table moments as
select event_type, "timestamp"
from events
where list_contains($types, event_type);

-- name: arrivals($types, $look_back, $until)
-- Question 1, step 1 for a policy without group_by and without a condition: the instants of the governed events, in order.
-- Times are whole microseconds since 1970, UTC. g is the row number of its group's first arrival: one group, so 0.
create or replace temp table arrivals as
select
  0 as g,
  epoch_us("timestamp") as t
from moments
where list_contains($types, event_type)
  and "timestamp" > $look_back
  and "timestamp" <= $until
order by t;

-- name: groups()
-- The one group there is.
create or replace temp table groups as
select
  0 as g,
  cast([] as varchar[]) as group_key;

-- name: instants($alert_threshold)
-- Question 1, step 2: the last arrival of each instant of a group, with the time of the k-th newest arrival by then.
-- The count is at least k from here until that k-th newest arrival is one window old, if that lies ahead.
create or replace temp table instants as
select
  g,
  t,
  arrival,
  case when kth_g = g then kth_t end as kth_t
from (
  select
    g,
    t,
    rowid as arrival,
    lag(t, $alert_threshold - 1) over () as kth_t,
    lag(g, $alert_threshold - 1) over () as kth_g,
    lead(t) over () as next_t,
    lead(g) over () as next_g
  from arrivals
)
where next_t is distinct from t
  or next_g is distinct from g;

-- name: series($since, $window_us)
-- Step 3: the rolling count of every group, at the start of the period and at every later instant of an arrival.
-- An event exactly one window old is out, so what is counted out is everything at or before t - window.
create or replace temp table series as
with opening as (
  -- Everything loaded so far lies within one window of the start of the period.
  select
    g,
    epoch_us($since) as t,
    max(arrival) as arrival,
    max(arrival) - g + 1 as events,
    max(kth_t) + $window_us as breach_until
  from instants
  where t <= epoch_us($since)
  group by g
),

later as (
  select
    i.g,
    i.t,
    i.arrival,
    i.arrival - coalesce(gone.arrival, i.g - 1) as events,
    i.kth_t + $window_us as breach_until
  from instants as i
  asof left join instants as gone
    on i.g = gone.g and i.t - $window_us >= gone.t
  where i.t > epoch_us($since)
)

select g, t, arrival, events, breach_until from opening
union all
select g, t, arrival, events, breach_until from later
order by g, t;

-- name: episodes($alert_threshold)
-- Step 4: the maximal stretches at or above the threshold. Two that touch are one.
create or replace temp table episodes as
with breaches as (
  select g, t, arrival, events, breach_until
  from series
  where events >= $alert_threshold
),

marked as (
  select
    g,
    t,
    arrival,
    events,
    breach_until,
    case when lag(g) over () is distinct from g or lag(breach_until) over () < t then 1 else 0 end as begins
  from breaches
),

numbered as (
  select
    g,
    t,
    arrival,
    events,
    breach_until,
    sum(begins) over (rows unbounded preceding) as episode
  from marked
)

select
  g,
  min(t) as starts,
  max(breach_until) as ends,
  max(events) as peak,
  arg_max(t, events::hugeint * 1000000000000000000 - t) as peak_at,
  arg_max(arrival, events::hugeint * 1000000000000000000 - t) as peak_arrival
from numbered
group by g, episode;

-- name: rolling_counts($since, $until)
-- The episodes of the period (since, until], clipped to it; "end" is null where the count is still high at its end.
-- returns: group_key, start, end, ongoing, started_before_period, peak, peak_at
select
  groups.group_key,
  make_timestamptz(starts) as "start",
  case when ends <= epoch_us($until) then make_timestamptz(ends) end as "end",
  ends > epoch_us($until) as ongoing,
  starts <= epoch_us($since) as started_before_period,
  peak,
  make_timestamptz(peak_at) as peak_at
from episodes
join groups on episodes.g = groups.g
order by "start", groups.group_key;

-- name: daily_peaks($since, $until, $window_us)
-- For each UTC day with an instant in (since, until]: the largest rolling count of any group at any moment of it.
-- What is carried over midnight counts, so the count at each midnight is taken beside those at the arrivals.
-- returns: day (days since 1970), peak
with at_arrivals as (
  select
    t // 86400000000 as day,
    max(events) as peak
  from series
  group by day
),

-- An arrival counts at every midnight from the first at or after it, until it is one window old.
spans as (
  select
    g,
    (t + 86399999999) // 86400000000 as first_day,
    (t + $window_us + 86399999999) // 86400000000 as end_day,
    count(*) as events
  from arrivals
  group by g, first_day, end_day
),

at_midnights as (
  select day, max(events) as peak
  from (
    select g, day, sum(events) as events
    from (
      select g, events, unnest(range(first_day, end_day)) as day
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
  cast(greatest(coalesce(at_arrivals.peak, 0), coalesce(at_midnights.peak, 0)) as bigint) as peak
from days
left join at_arrivals on days.day = at_arrivals.day
left join at_midnights on days.day = at_midnights.day
order by days.day;

-- threshold_totals {'alert_threshold': 3, 'as_of': datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc), 'types': ['auth_failure', 'login'], 'window_start': datetime.datetime(2026, 11, 23, 12, 0, tzinfo=datetime.timezone.utc)}
-- name: moments($types)
-- The type and the time of every governed event: read once from the files, asked several times. A run that judges many
-- policies reads for all of them together; each later step names its own types.
create or replace temp table moments as
select event_type, "timestamp"
from events
where list_contains($types, event_type);

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
-- name: moments($types)
-- The type and the time of every governed event: read once from the files, asked several times. A run that judges many
-- policies reads for all of them together; each later step names its own types.
create or replace temp table moments as
select event_type, "timestamp"
from events
where list_contains($types, event_type);

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
-- name: moments($types)
-- The type and the time of every governed event: read once from the files, asked several times. A run that judges many
-- policies reads for all of them together; each later step names its own types.
create or replace temp table moments as
select event_type, "timestamp"
from events
where list_contains($types, event_type);

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
