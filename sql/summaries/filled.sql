-- name: filled_throughout($files, $columns)
-- The columns of each data file, among some of text, of which its footer says that they are filled in all of its rows: none
-- is null, and between the least and the greatest no text says nothing.
-- returns: file_name, columns
with throughout as (
  select
    file_name,
    path_in_schema
  from parquet_metadata($files)
  where list_contains($columns, path_in_schema)
  group by file_name, path_in_schema
  having bool_and(coalesce(stats_null_count = 0 and are_filled(stats_min_value, stats_max_value), false))
)

select
  file_name,
  list_sort(list(path_in_schema)) as columns
from throughout
group by file_name
order by file_name;
