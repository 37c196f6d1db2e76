-- name: groups()
-- What the measures first_seen and dormant have in common: what is looked at is told by the numbers of its entity, `e`, and
-- of its value, `v`, which is null where there is none. This numbers the groups, from 0.
create or replace temp table groups as
select
  row_number() over (order by group_key) - 1 as g,
  group_key
from (
  select distinct group_key
  from matching
  where group_key is not null
);

-- name: at_peaks($origin, $since, $window_us, $span_us)
-- What counts at the peak of each episode, at most twenty, those that came first. The window of a peak lies in two
-- stretches of one window each, by which it is found.
create or replace temp table at_peaks as
select
  found.g,
  found.starts_at,
  spans.e,
  spans.v,
  entities.entity,
  different.value,
  spans.rise,
  spans.t_before,
  row_number() over (
    partition by found.g, found.starts_at order by spans.rise, entities.entity, different.value
  ) as place
from (
  select
    starts // $span_us as g,
    greatest(epoch_us($origin) + starts % $span_us, epoch_us($since)) as starts_at,
    greatest(epoch_us($origin) + peak_at % $span_us, epoch_us($since)) as peaks_at,
    unnest([0, 1]) as stretch
  from episodes
) as found
join spans
  on found.g = spans.g
    and found.peaks_at // $window_us - found.stretch = spans.rise // $window_us
    and spans.rise > found.peaks_at - $window_us
    and spans.rise <= found.peaks_at
join entities on spans.e = entities.e
left join different on spans.v = different.v
qualify place <= 20;
