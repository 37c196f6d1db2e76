-- name: pieces($origin, $since, $until, $span_us, $alert_threshold)
-- The episodes that rolling_counts.sql found, cut at midnights: for each UTC day with an instant in (since, until] what a
-- report of that day alone would say of them. So the last instant before a day belongs to it as well, as its `since`:
-- what is high then is carried over. A piece that goes on after its day has no end.
create or replace temp table pieces as
with found as (
  select
    starts,
    starts // $span_us as g,
    epoch_us($origin) + starts % $span_us as starts_at,
    epoch_us($origin) + ends % $span_us as ends_at,
    peak,
    greatest(epoch_us($origin) + peak_at % $span_us, epoch_us($since)) as peaks_at
  from episodes
),

cut as (
  select
    *,
    greatest(epoch_us($since), day * 86400000000 - 1) as since_day,
    least(epoch_us($until), day * 86400000000 + 86399999999) as until_day,
    g * ($span_us // 86400000000) + day - epoch_us($origin) // 86400000000 as place
  from (
    select
      *,
      len(days) > 1 as is_cut,
      unnest(days) as day
    from (
      select
        *,
        range(
          cast(greatest(starts_at, epoch_us($since) + 1) // 86400000000 as bigint),
          cast(least(ends_at, epoch_us($until)) // 86400000000 + 1 as bigint)
        ) as days
      from found
    )
  )
),

-- The count at the end of each day of the groups that have an episode on several days: a group has whole days, so days
-- are numbered through all groups, and the count is 0 again where a group ends.
turns as (
  select
    (change >> 1) // 86400000000 as place,
    sum(case when change & 1 = 1 then 1 else -1 end) as events
  from changes
  where (change >> 1) // $span_us in (select g from cut where is_cut)
  group by place
),

ends_of_days as (
  select
    place,
    sum(events) over (order by place) as events
  from turns
),

-- The highest count after a rise on each day of such an episode, and where it is first reached.
highest as (
  select
    starts,
    at_rise // 86400000000 as day,
    max(events) as peak,
    arg_max(at_rise, events::hugeint * 18446744073709551616 - at_rise) as peaks_at
  from (
    select
      episodes.starts,
      greatest(epoch_us($origin) + high.moment % $span_us, epoch_us($since)) as at_rise,
      high.events
    from (
      select moment, 2 * rowid + 1 - place as events
      from rises
      where 2 * rowid + 1 - place >= $alert_threshold
    ) as high
    asof join episodes on high.moment >= episodes.starts
    where episodes.starts in (select starts from cut where is_cut)
  )
  group by starts, day
),

measured as (
  select
    cut.*,
    case when cut.starts_at <= cut.since_day then coalesce(ends_of_days.events, 0) else 0 end as carried,
    coalesce(highest.peak, 0) as highest_peak,
    highest.peaks_at as highest_at
  from cut
  asof left join ends_of_days on cut.place > ends_of_days.place
  left join highest on cut.starts = highest.starts and cut.day = highest.day
)

select
  cast(day as bigint) as day,
  g,
  cast(greatest(starts_at, since_day) as bigint) as starts_at,
  cast(case when ends_at <= until_day then ends_at end as bigint) as ends_at,
  starts_at <= since_day as is_carried,
  case when not is_cut then peak else greatest(carried, highest_peak) end as measure,
  cast(case when not is_cut then peaks_at when carried >= highest_peak then since_day else highest_at end as bigint)
    as peaks_at,
  measure as total,
  1 as parts
from measured;

-- name: carried($origin, $span_us)
-- For the statements that find what is behind episodes: the pieces that are carried over in the place of the episodes.
-- These come apart, since one of the day before may begin at the same instant.
create or replace temp table episodes as
select
  g * $span_us + starts_at - epoch_us($origin) as starts,
  g * $span_us + peaks_at - epoch_us($origin) as peak_at
from pieces
where is_carried;

-- name: begun($origin, $span_us)
-- The same of the pieces that begin on their day.
create or replace temp table episodes as
select
  g * $span_us + starts_at - epoch_us($origin) as starts,
  g * $span_us + peaks_at - epoch_us($origin) as peak_at
from pieces
where not is_carried;

-- name: episodes_by_day()
-- The pieces, each with its peak, which is total / parts exactly. Numbers of 128 bits come as text.
-- returns: day, group_key, start, end, is_carried, peak, peak_at, total, parts
select
  pieces.day,
  groups.group_key,
  pieces.starts_at,
  pieces.ends_at,
  pieces.is_carried,
  cast(pieces.measure as varchar) as peak,
  pieces.peaks_at,
  cast(pieces.total as varchar) as total,
  pieces.parts
from pieces
join groups on pieces.g = groups.g
order by pieces.day, groups.group_key, pieces.starts_at;

-- name: totals_by_day($types, $since, $until)
-- What threshold_totals.sql counts, of each UTC day of (since, until]; `events` are all that are governed.
-- returns: day, events, matching_events, ungrouped_events, where_errors, valueless_events
select
  day,
  count(*) as events,
  count(*) filter (verdict = 1) as matching_events,
  count(*) filter (verdict = 1 and not grouped) as ungrouped_events,
  count(*) filter (verdict is null or (verdict = 1 and failed)) as where_errors,
  count(*) filter (verdict = 1 and grouped and not valued) as valueless_events
from (
  -- The condition is evaluated once: 1 for a match, 0 for none, 2 for unknown, null for an error.
  select
    epoch_us("timestamp") // 86400000000 as day,
    try(coalesce(cast(predicate as integer), 2)) as verdict,
    is_grouped as grouped,
    has_value as valued,
    has_failed as failed
  from events
  where list_contains($types, event_type)
    and "timestamp" > $since
    and "timestamp" <= $until
)
group by day
order by day;

-- name: fields_by_day($types, $since, $until)
-- What field_counts.sql counts, of each UTC day of (since, until].
-- returns: day, event_type, source, lacking, events, first, last
with opened as (
  select
    *,
    values_of_details as details_values,
    values_of_metadata as metadata_values
  from events
  where list_contains($types, event_type)
    and "timestamp" > $since
    and "timestamp" <= $until
),

judged as (
  select
    epoch_us("timestamp") as t,
    event_type,
    source,
    lacking_of_event as lacking
  from opened
)

select
  t // 86400000000 as day,
  event_type,
  source,
  lacking,
  count(*) as events,
  min(t) as first,
  max(t) as last
from judged
group by day, event_type, source, lacking
order by day, event_type, source, lacking;

-- name: silences_by_day($gap_types, $longest_us, $since, $until)
-- Stretches between neighbouring events of a type on one UTC day of (since, until] that are longer than the type may be
-- silent; those over midnights follow from the first and the last event of each day.
-- returns: day, event_type, start, end
with limits as (
  select
    unnest($gap_types) as event_type,
    unnest($longest_us) as longest
),

stretches as (
  select
    event_type,
    epoch_us("timestamp") as starts,
    lead(epoch_us("timestamp")) over (
      partition by event_type, epoch_us("timestamp") // 86400000000 order by "timestamp"
    ) as ends
  from moments
  where list_contains($gap_types, event_type)
    and "timestamp" > $since
    and "timestamp" <= $until
)

select
  stretches.starts // 86400000000 as day,
  stretches.event_type,
  stretches.starts,
  stretches.ends
from stretches
join limits on stretches.event_type = limits.event_type
where stretches.ends - stretches.starts > limits.longest
order by day, stretches.event_type, stretches.starts;

-- name: events_by_day($since, $until)
-- The events of each type on each UTC day of (since, until], whatever policies ask of them; `received` leaves out what
-- auditlake writes about itself.
-- returns: day, event_type, events, received, first, last
select
  epoch_us("timestamp") // 86400000000 as day,
  event_type,
  count(*) as events,
  count(*) filter (source <> 'auditlake.self') as received,
  epoch_us(min("timestamp")) as first,
  epoch_us(max("timestamp")) as last
from events
where "timestamp" > $since
  and "timestamp" <= $until
group by day, event_type
order by day, event_type;

-- name: events_summed_by_day()
-- The same from the summary type_counts, cut at the period's ends.
-- returns: day, event_type, events, received, first, last
select
  day,
  event_type,
  cast(sum(events) as bigint) as events,
  cast(coalesce(sum(events) filter (source <> 'auditlake.self'), 0) as bigint) as received,
  epoch_us(min(first_event)) as first,
  epoch_us(max(last_event)) as last
from type_counts
where stretch = 1
group by day, event_type
order by day, event_type;

-- name: shown($keys, $starts, $starts_shown, $peaks_at)
-- For the page: episodes, each with the window of its peak from its first instant on; samples.sql takes it from here.
-- The slot `key_of_episode` is the group as the policy groups by it: `keys`, or the only value in it.
create or replace temp table shown as
select
  row_number() over (order by place) as episode,
  key_of_episode as group_key,
  starts,
  from_t,
  peak_at
from (
  select
    unnest(range(len($starts))) as place,
    unnest(cast($keys as varchar[][])) as keys,
    unnest(cast($starts as bigint[])) as starts,
    unnest(cast($starts_shown as bigint[])) as from_t,
    unnest(cast($peaks_at as bigint[])) as peak_at
);
