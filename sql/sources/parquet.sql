-- name: codecs($file)
-- The compressions in use in a Parquet file.
-- returns: compression
select distinct compression
from parquet_metadata($file);
