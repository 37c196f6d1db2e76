-- name: groups()
-- The groups of the matching events of a measure, numbered from 0.
create or replace temp table groups as
select
  row_number() over (order by group_key) - 1 as g,
  group_key
from (
  select distinct group_key
  from matching
);

-- name: changes($origin, $span_us)
-- Question 1, step 2 for a measure that is a set of intervals: every moment at which the measure changes, in order. The
-- table spans(g, rise, fall) has where intervals of a group begin and end; which end belongs to which beginning is of no
-- consequence, and either may be null. The numbers are those of rolling_counts.sql, whose next steps take it from here.
create or replace temp table changes as
select (cast(g as bigint) * $span_us + (rise - epoch_us($origin))) * 2 + 1 as change
from spans
where rise is not null
union all
select (cast(g as bigint) * $span_us + (fall - epoch_us($origin))) * 2 as change
from spans
where fall is not null
order by change;

-- name: current_counts($as_of, $alert_threshold)
-- The groups at or above the threshold at as_of itself.
-- returns: group_key, measure
select
  groups.group_key,
  measured.measure
from (
  select
    g,
    count(*) filter (rise <= epoch_us($as_of)) - count(*) filter (fall <= epoch_us($as_of)) as measure
  from spans
  group by g
) as measured
join groups on measured.g = groups.g
where measured.measure >= $alert_threshold
order by measured.measure desc, groups.group_key;
