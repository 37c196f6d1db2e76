-- name: parse($texts)
-- The syntax tree of each of these texts, or why it is none, in their order.
-- returns: tree
select json_serialize_sql(each) as tree
from (select unnest(cast($texts as varchar[])) as each);

-- name: spell($trees)
-- The statement of each of these syntax trees in DuckDB's own spelling, in their order.
-- returns: text
select json_deserialize_sql(cast(each as json)) as "text"
from (select unnest(cast($trees as varchar[])) as each);
