-- What policies that are judged together ask alike, counted once for all of them: each statement but the first stands for
-- the one of its name that a policy has by itself, and gives the same rows.

-- name: shared()
-- The events of each data file, counted by all that any of the policies tells apart: a summary, without instants. The slots
-- are filled by auditlake/policies/shared.py: `is_asked_about` with whether the event is of a type that counts;
-- `scopes_of_type` and `columns_of_type` with the bits of the scopes and columns that any policy asks of its type;
-- `part_of_day` with a stretch shorter than any silence that is asked about, so that no such silence lies within a row;
-- `scopes_of_event` with a bit for each scope that has the event in it; `unknown_of_event` with a bit for each of which
-- that cannot be told; `scoped_details` and `scoped_metadata` with the texts at the places within JSON that scopes read;
-- `filled_texts` with a bit for each column of text that is filled; `reads_json` with whether a field
-- has none of those filled, and places within JSON as well; `values_of_details` and `values_of_metadata` with the texts
-- at such places, and `filled_places` with a bit for each of them that is filled.
-- The table `shared` that is made of it has `day` and `stretch` in the place of the first column.
-- returns: file_index, event_type, source, part, in_scope, unknown, filled, events, first_seen, last_seen
with governed as (
  select
    *,
    scopes_of_type as asked_scopes,
    columns_of_type as asked_columns,
    scoped_details as details_scoped,
    scoped_metadata as metadata_scoped
  from events
  where is_asked_about
),

written as (
  select
    *,
    filled_texts as texts
  from governed
),

opened as (
  select
    *,
    case when reads_json then values_of_details end as details_values,
    case when reads_json then values_of_metadata end as metadata_values
  from written
),

judged as (
  select
    file_index,
    event_type,
    source,
    "timestamp",
    part_of_day as part,
    scopes_of_event as in_scope,
    unknown_of_event as unknown,
    texts + filled_places as filled
  from opened
)

select
  file_index,
  event_type,
  source,
  part,
  in_scope,
  unknown,
  filled,
  count(*) as events,
  min("timestamp") as first_seen,
  max("timestamp") as last_seen
from judged
group by file_index, event_type, source, part, in_scope, unknown, filled
order by file_index, event_type, source, part, in_scope, unknown, filled;

-- name: shared_moments()
-- The instants between which silences lie: the first and the last event of each row in a scope.
create or replace temp macro shared_moments(asked_scope) as table
  select
    event_type,
    unnest([first_seen, last_seen]) as "timestamp"
  from shared
  where in_scope & asked_scope > 0;

-- name: type_days($types, $since, $until, $as_of, $scope)
create or replace temp table type_days as
select
  event_type,
  day,
  cast(sum(events) as bigint) as events_ever,
  cast(coalesce(sum(events) filter (first_seen > $since and first_seen <= $until), 0) as bigint) as events,
  min(first_seen) as first_seen,
  max(last_seen) as last_seen
from shared
where list_contains($types, event_type)
  and first_seen <= $as_of
  and in_scope & $scope > 0
group by event_type, day;

-- name: scope_unknown($types, $since, $until, $scope)
-- returns: events
select cast(coalesce(sum(events), 0) as bigint) as events
from shared
where list_contains($types, event_type)
  and first_seen > $since
  and first_seen <= $until
  and unknown & $scope > 0;

-- name: oldest_event($types, $as_of)
-- returns: oldest
select min(first_seen) as oldest
from shared
where list_contains($types, event_type)
  and first_seen <= $as_of;

-- name: field_counts($types, $since, $until, $scope, $columns_of_fields)
-- $columns_of_fields has a number for each field, with the bits of the columns of which one must be filled.
-- returns: event_type, source, lacking, events, first, last
select
  event_type,
  source,
  cast(
    list_sum(
      list_transform($columns_of_fields, lambda columns, place: case when filled & columns = 0 then 1 << (place - 1) else 0 end)
    ) as bigint
  ) as lacking,
  cast(sum(events) as bigint) as events,
  min(first_seen) as first,
  max(last_seen) as last
from shared
where list_contains($types, event_type)
  and first_seen > $since
  and first_seen <= $until
  and in_scope & $scope > 0
group by event_type, source, lacking
order by event_type, source, lacking;
