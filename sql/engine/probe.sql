-- name: odd_values($texts, $times)
-- Values that bring out what fails in an expression: each text, at each time.
-- returns: t, ts
select t, ts
from (select unnest(cast($texts as varchar[])) as t)
cross join (select unnest(cast($times as timestamptz[])) as ts);
