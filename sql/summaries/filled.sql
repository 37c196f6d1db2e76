-- name: known_filled($files, $columns)
-- The columns, among some of text, of which the footer of a data file says that no value says nothing: between the least and
-- the greatest of each of its parts there is no text that does. Some rows may still have no value.
-- returns: file_name, column_name, has_nulls
select
  file_name,
  path_in_schema as column_name,
  max(stats_null_count) > 0 as has_nulls
from parquet_metadata($files)
where list_contains($columns, path_in_schema)
group by file_name, column_name
having bool_and(are_filled(stats_min_value, stats_max_value) and stats_null_count is not null)
order by file_name, column_name;
