-- name: matching($texts)
-- Which of these records meet a mapping's condition.
-- returns: met
select coalesce(try(slot_condition), false) as met
from (
  select slot_columns, record
  from (
    select try(json_extract_string("text", slot_paths)) as p, record
    from (select unnest(cast($texts as varchar[])) as "text", generate_subscripts(cast($texts as varchar[]), 1) as record)
  )
)
order by record;
