-- name: user_counts()
-- The events of each data file by user; events without a user are left out.
-- returns: file_index, user_id, events
select file_index, user_id, count(*) as events
from events
where user_id is not null
group by file_index, user_id
order by file_index, user_id;
