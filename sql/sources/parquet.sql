-- name: codecs($file)
-- The compressions in use in a Parquet file.
-- returns: compression
select distinct compression
from parquet_metadata($file);

-- name: stretch($file, $row_group)
-- Where the bytes of a row group lie in a Parquet file.
-- returns: begin, end
select
    min(coalesce(nullif(dictionary_page_offset, 0), data_page_offset)) as begin,
    max(coalesce(nullif(dictionary_page_offset, 0), data_page_offset) + total_compressed_size) as "end"
from parquet_metadata($file)
where row_group_id = $row_group;
