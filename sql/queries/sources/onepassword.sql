-- name: onepassword_failed_sign_ins()
-- Sign-ins that failed, by reason.
-- returns: user_id, reason, country, attempts
select user_id, metadata ->> 'reason' as reason, metadata ->> 'country' as country, count(*) as attempts
from events
where source = 'onepassword' and status = 'failure'
group by all
order by attempts desc;

-- name: onepassword_items($item)
-- Who used a certain item.
-- $item (text): its vault and its id, such as V1/I1
-- returns: timestamp, who, action, ip_address
select timestamp, metadata ->> 'user_name' as who, action, ip_address
from events
where source = 'onepassword' and resource = $item
order by timestamp;

-- name: onepassword_access()
-- Access to vaults and groups, given and taken.
-- returns: timestamp, by, action, resource, whom
select timestamp, user_id as by, action, resource, details ->> '$.aux_details.email' as whom
from events
where source = 'onepassword' and event_type = 'permission_change'
order by timestamp;
