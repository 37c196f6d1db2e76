-- name: parse($texts)
-- The syntax tree of each of these texts, or why it is none, in their order.
-- returns: tree
select json_serialize_sql(each) as tree
from (select unnest(cast($texts as varchar[])) as each);
