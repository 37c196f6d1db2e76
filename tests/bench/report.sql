-- The numbers of the three reports by hand, over `governed`: the events of the nine types, as a view or as a table.
-- Cutoffs are midnights, and periods and windows are whole days long: counts by type, day and half (up to as_of's time
-- of day, or after it) give every total. A query that gives rows has its name above it.
create temp table periods as
select p, event_types, getvariable('as_of') - to_days(days) as since
from (
  values
    (1, ['data_access', 'data_deletion', 'data_modification'], 90),
    (2, ['auth_failure', 'login', 'logout'], 30),
    (3, ['data_breach', 'prompt_injection', 'security_alert'], 365)
) as given (p, event_types, days);

create temp table asked as
select p, event_type, since
from periods, unnest(event_types) as each (event_type);

create temp table halves as
with counts as (
  select
    event_type,
    event_date,
    epoch_us("timestamp") % 86400000000 > epoch_us(getvariable('as_of')) % 86400000000 as late,
    count(*) as events,
    min("timestamp") as first_seen,
    max("timestamp") as last_seen
  from governed
  group by all
)

select
  p,
  counts.*,
  last_seen <= getvariable('as_of') as past,
  last_seen <= getvariable('as_of') and last_seen > since as in_period
from counts
join asked using (event_type);

-- totals: p, event_type, events, last_seen
select
  asked.p,
  asked.event_type,
  cast(coalesce(sum(events) filter (in_period), 0) as bigint) as events,
  epoch_us(max(last_seen) filter (past)) as last_seen
from asked
left join halves using (event_type)
group by all
order by all;

-- counts: p, recent, future, due, oldest
select
  p,
  cast(coalesce(sum(events) filter (past and last_seen > getvariable('as_of') - to_days(1)), 0) as bigint) as recent,
  cast(coalesce(sum(events) filter (not past), 0) as bigint) as future,
  cast(coalesce(sum(events) filter (event_date < cast(since as date)), 0) as bigint) as due,
  epoch_us(min(first_seen) filter (past)) as oldest
from periods
left join halves using (p)
group by p
order by p;

-- silent_days: p, day
select p, day
from (
  select p, cast(day as date) as day
  from periods, generate_series(cast(since as date), cast(getvariable('as_of') as date), interval 1 day) as days (day)
)
anti join (select p, event_date as day from halves where in_period) using (p, day)
order by p, day;

-- One integer for policy and time, so that one comparison does for both. Before the period, `judged_at` stands still.
create temp table arrivals as
select (p << 52) + t as key, (p << 52) + greatest(t, since) as judged_at
from (
  select 1::bigint as p, epoch_us("timestamp") as t, epoch_us(getvariable('as_of') - to_days(90)) as since
  from governed
  where event_type in ('data_access', 'data_deletion', 'data_modification')
    and "timestamp" > getvariable('as_of') - to_days(91)
    and "timestamp" <= getvariable('as_of')
    and event_date >= cast(getvariable('as_of') - to_days(91) as date)
  union all
  select 2, epoch_us("timestamp"), epoch_us(getvariable('as_of') - to_days(30))
  from governed
  where event_type in ('auth_failure', 'login', 'logout')
    and "timestamp" > getvariable('as_of') - to_days(31)
    and "timestamp" <= getvariable('as_of')
    and event_date >= cast(getvariable('as_of') - to_days(31) as date)
  union all
  select 3, epoch_us("timestamp"), epoch_us(getvariable('as_of') - to_days(365))
  from governed
  where event_type in ('data_breach', 'prompt_injection', 'security_alert')
    and "timestamp" > getvariable('as_of') - to_days(366)
    and "timestamp" <= getvariable('as_of')
)
order by key;

create temp table instants as
select key, judged_at, i, until, next_at is distinct from judged_at as judged
from (
  select
    key,
    judged_at,
    rowid as i,
    86400000000 + case judged_at >> 52
      when 1 then lag(key, 4) over ()
      when 2 then lag(key, 2) over ()
      else key
    end as until,
    lead(key) over () as next_key,
    lead(judged_at) over () as next_at
  from arrivals
)
where next_key is distinct from key;

create temp table series as
select judged_at, until, i - coalesce(gone, -1) as events
from (select judged_at, i, until from instants where judged)
asof left join (select key, i as gone from instants) on judged_at - 86400000000 >= key
order by judged_at;

-- episodes: p, start, end, peak, peak_at
with marked as (
  select judged_at, until, events, coalesce(lag(until) over () < judged_at, true) as begins
  from (select * from series where until > judged_at)
),

numbered as (
  select judged_at, until, events, count_if(begins) over (rows unbounded preceding) as episode
  from marked
)

select
  min(judged_at) >> 52 as p,
  min(judged_at) & (1::bigint << 52) - 1 as "start",
  max(until) & (1::bigint << 52) - 1 as "end",
  max(events) as peak,
  arg_max(judged_at, events::hugeint * (1::hugeint << 64) - judged_at) & (1::bigint << 52) - 1 as peak_at
from numbered
group by episode
order by p, "start";

-- daily_peaks: p, day (since 1970), peak. An arrival counts at one midnight, the first at or after it.
with high as (
  select
    judged_at >> 52 as p,
    greatest(judged_at & (1::bigint << 52) - 1, epoch_us(since) + 1) // 86400000000 as day,
    events
  from series
  join periods on judged_at >> 52 = p
  union all
  select key >> 52, ((key & (1::bigint << 52) - 1) + 86399999999) // 86400000000 as midnight, count(*)
  from arrivals
  group by all
)

select p, day, cast(coalesce(max(events), 0) as bigint) as peak
from (
  select p, day
  from periods, range(
    (epoch_us(since) + 1) // 86400000000, epoch_us(getvariable('as_of')) // 86400000000 + 1
  ) as days (day)
)
left join high using (p, day)
group by all
order by all;

-- first_event: of any type; files lie in the order of their days
select epoch_us(min("timestamp")) from first_day;
