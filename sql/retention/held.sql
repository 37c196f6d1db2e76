-- name: matched()
-- How many events a hold matches.
-- The slot `on_hold` is filled in the syntax tree with the hold's condition.
-- returns: events
select count(*) as events
from events
where on_hold;
