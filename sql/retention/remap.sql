-- A day's events of one source with their columns derived anew. `events` shows the files of that day; what the mapping makes
-- of the details of some of its events comes as Arrow tables.

-- name: of_source($source, $since, $until)
-- The events of a source. What another program wrote is of no batch, and stays as it is.
-- returns: the columns of an event that remap.py compares
select
  batch,
  seq,
  event_id,
  event_type,
  "timestamp",
  user_id,
  action,
  resource,
  status,
  details,
  metadata,
  session_id,
  ip_address
from events
where source = $source
  and batch is not null
  and seq is not null
  and ($since is null or "timestamp" >= cast($since as timestamptz))
  and ($until is null or "timestamp" <= cast($until as timestamptz));

-- name: of_others($source, $since, $until)
-- How many of its events another program wrote.
-- returns: events
select count(*) as events
from events
where source = $source
  and (batch is null or seq is null)
  and ($since is null or "timestamp" >= cast($since as timestamptz))
  and ($until is null or "timestamp" <= cast($until as timestamptz));

-- name: changed()
-- The events whose columns become others: what they have, and in `had` what they had.
create or replace temp table changed (
  batch bigint,
  seq bigint,
  "timestamp" timestamptz,
  event_type varchar,
  user_id varchar,
  action varchar,
  resource varchar,
  status varchar,
  metadata varchar,
  session_id varchar,
  ip_address varchar,
  was_erased boolean,
  had struct(
    event_type varchar,
    user_id varchar,
    action varchar,
    resource varchar,
    status varchar,
    metadata varchar,
    session_id varchar,
    ip_address varchar
  )
);

-- name: derived($only, $stay)
-- What the mapping makes of some events, `had`, each beside the one row of `became` that is this event: the only one where a
-- record can give no other ($only), else the one with its id; an id that was made from content stands for none. Columns of
-- $stay cannot be derived. Where there is no such row, or it has another time, `left_because` says so.
create or replace temp table derived as
with numbered as (
  select
    *,
    count(*) over (partition by record) as rows_of_record,
    count(*) filter (event_id is null) over (partition by record) as nameless
  from became
),

matched as (
  select
    numbered.*,
    count(*) over (partition by numbered.record) as matches
  from numbered
  join had on numbered.record = had.record
  where ($only and rows_of_record = 1)
    or numbered.event_id = had.event_id
    or (
      numbered.event_id is null
      and nameless = 1
      and regexp_full_match(had.event_id, '(keyed-)?[0-9a-f]{64}')
      and not ($only and rows_of_record = 1)
    )
)

select
  had.*,
  case
    when matched.record is null
    then 'none of the events that the mapping makes of its record is known to be it'
    when matched."timestamp" <> had."timestamp"
    then 'it has another time now'
  end as left_because,
  starts_with(had.event_id, 'keyed-')
  or coalesce(regexp_matches(
    concat_ws(' ', had.user_id, had.ip_address, had.session_id, had.resource, had.details, had.metadata),
    'pseudonym-[0-9a-f]{40}'
  ), false) as was_erased,
  struct_pack(
    event_type := if(list_contains($stay, 'event_type'), had.event_type, matched.event_type),
    user_id := if(list_contains($stay, 'user_id'), had.user_id, matched.user_id),
    action := if(list_contains($stay, 'action'), had.action, matched.action),
    resource := if(list_contains($stay, 'resource'), had.resource, matched.resource),
    status := if(list_contains($stay, 'status'), had.status, matched.status),
    metadata := if(list_contains($stay, 'metadata'), had.metadata, matched.metadata),
    session_id := if(list_contains($stay, 'session_id'), had.session_id, matched.session_id),
    ip_address := if(list_contains($stay, 'ip_address'), had.ip_address, matched.ip_address)
  ) as new
from had
left join matched on had.record = matched.record and matched.matches = 1;

-- name: left()
-- Those of which the mapping makes no event that they could be.
-- returns: record, why
select record, left_because
from derived
where left_because is not null;

-- name: erased()
-- Those that were erased, with what the mapping makes of them.
-- returns: record, details, and each text of the event as it is and as it would become
select
  record,
  details,
  action,
  resource,
  status,
  metadata,
  new.action as new_action,
  new.resource as new_resource,
  new.status as new_status,
  new.metadata as new_metadata,
  new.user_id as new_user_id,
  new.ip_address as new_ip_address,
  new.session_id as new_session_id
from derived
where was_erased
  and left_because is null;

-- name: keep_personal()
-- What becomes of the erased: their personal columns stay, and the texts are those of the table `of_erased`.
update derived
set new = struct_pack(
  event_type := derived.new.event_type,
  user_id := derived.user_id,
  action := of_erased.action,
  resource := of_erased.resource,
  status := of_erased.status,
  metadata := of_erased.metadata,
  session_id := derived.session_id,
  ip_address := derived.ip_address
)
from of_erased
where derived.record = of_erased.record;

-- name: keep_changed()
-- An event of which only the name of the mapping in `metadata` would be another stays as it is.
insert into changed
select
  batch,
  seq,
  "timestamp",
  new.event_type,
  new.user_id,
  new.action,
  new.resource,
  new.status,
  new.metadata,
  new.session_id,
  new.ip_address,
  was_erased,
  struct_pack(
    event_type := event_type, user_id := user_id, action := action, resource := resource, status := status,
    metadata := metadata, session_id := session_id, ip_address := ip_address
  )
from derived
where left_because is null
  and (
    new.event_type is distinct from event_type
    or new.user_id is distinct from user_id
    or new.action is distinct from action
    or new.resource is distinct from resource
    or new.status is distinct from status
    or new.session_id is distinct from session_id
    or new.ip_address is distinct from ip_address
    or regexp_replace(new.metadata, '^\{"mapping":"[^"]*",?', '{')
    is distinct from regexp_replace(metadata, '^\{"mapping":"[^"]*",?', '{')
  );

-- name: counted()
-- The events that change, by what becomes of their types, and how many of each were erased and have which column changed.
-- returns: before, after, events, erased, and the number of each column's changes
select
  had.event_type as type_before,
  event_type as type_after,
  count(*) as events,
  count(*) filter (was_erased) as erased,
  count(*) filter (had.event_type is distinct from event_type) as event_types,
  count(*) filter (had.user_id is distinct from user_id) as user_ids,
  count(*) filter (had.action is distinct from action) as actions,
  count(*) filter (had.resource is distinct from resource) as resources,
  count(*) filter (had.status is distinct from status) as statuses,
  count(*) filter (had.metadata is distinct from metadata) as metadatas,
  count(*) filter (had.session_id is distinct from session_id) as session_ids,
  count(*) filter (had.ip_address is distinct from ip_address) as ip_addresses
from changed
group by type_before, type_after
order by type_before, type_after;

-- name: held_before()
-- How many of the events that change each hold matches as they were. The slot `holds_of_event` is filled with a list of
-- the numbers of the holds that an event is under.
-- returns: hold, events
select
  hold,
  count(*) as events
from (
  select unnest(holds_of_event) as hold
  from (
    select
      "timestamp",
      had.event_type as event_type,
      had.user_id as user_id,
      had.resource as resource
    from changed
  )
)
where hold is not null
group by hold
order by hold;

-- name: held_after()
-- The same as they become.
-- returns: hold, events
select
  hold,
  count(*) as events
from (
  select unnest(holds_of_event) as hold
  from changed
)
where hold is not null
group by hold
order by hold;

-- name: digest()
-- One number over all that changes on the day, so that another plan has another digest.
-- returns: digest
select coalesce(bit_xor(hash(changed)), 0) as digest
from changed;

-- name: remapped()
-- The day's rows in time order, without the partition column, those of `changed` with their new columns.
select
  event_id,
  if(changed.seq is null, events.event_type, changed.event_type) as event_type,
  events."timestamp",
  if(changed.seq is null, events.user_id, changed.user_id) as user_id,
  if(changed.seq is null, events.action, changed.action) as action,
  if(changed.seq is null, events.resource, changed.resource) as resource,
  if(changed.seq is null, events.status, changed.status) as status,
  details,
  if(changed.seq is null, events.metadata, changed.metadata) as metadata,
  if(changed.seq is null, events.session_id, changed.session_id) as session_id,
  if(changed.seq is null, events.ip_address, changed.ip_address) as ip_address,
  source,
  ingested_at,
  events.batch,
  events.seq,
  salt
from events
left join changed on events.batch = changed.batch and events.seq = changed.seq
order by events."timestamp", events.batch, events.seq;

-- name: days_of_source($source, $since, $until)
-- The days on which a source has events.
-- returns: day
select distinct event_date - date '1970-01-01' as day
from events
where source = $source
  and ($since is null or "timestamp" >= cast($since as timestamptz))
  and ($until is null or "timestamp" <= cast($until as timestamptz))
order by day;

-- name: erased_users()
-- The pseudonyms of the people of whom events were erased, and what looks like one.
-- returns: user_id
select distinct user_id
from events
where starts_with(user_id, 'pseudonym-');

-- name: new_users()
-- The users whom events get that were not erased.
-- returns: user_id, events
select
  user_id,
  count(*) as events
from changed
where not was_erased
  and user_id is not null
  and user_id is distinct from had.user_id
group by user_id;
