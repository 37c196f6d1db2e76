-- Files of a day become others without what is due: `events` shows them.

-- name: staying($types, $cutoffs, $default_cutoff, $limited_types, $limits, $as_of)
-- The day's rows but those that are due, and of each whether its personal data must go. An event under a hold stays as
-- it is. See retention/judge.sql: what is due there is what is missing here.
create or replace temp table marked as
select
  *,
  not on_hold
  and coalesce(list_contains($limited_types, event_type), false)
  and "timestamp" <= $as_of
  and coalesce(
    "timestamp" < list_extract(cast($limits as timestamptz[]), list_position($limited_types, event_type)),
    false
  ) as is_changed
from events
where on_hold
  or not coalesce(
    "timestamp" < case
      when list_contains($types, event_type)
      then list_extract(cast($cutoffs as timestamptz[]), list_position($types, event_type))
      else cast($default_cutoff as timestamptz)
    end,
    false
  );

-- name: staying_alone($types, $cutoffs, $default_cutoff)
-- The same of some days where no personal data must go: the rows that stay by day and time, without the partition column;
-- and of each a number that is the same for the same row.
select
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
  ip_address,
  source,
  ingested_at,
  batch,
  seq,
  salt,
  event_date,
  hash(
    event_id, event_type, "timestamp", user_id, action, resource, status, details, metadata, session_id, ip_address, source,
    ingested_at, batch, seq, salt
  ) as content
from events
where on_hold
  or not coalesce(
    "timestamp" < case
      when list_contains($types, event_type)
      then list_extract(cast($cutoffs as timestamptz[]), list_position($types, event_type))
      else cast($default_cutoff as timestamptz)
    end,
    false
  )
order by event_date, "timestamp", batch, seq;

-- name: written_rows()
-- How many rows files have, and the sum of the same numbers of them, which does not depend on their order.
-- returns: rows, content
select
  count(*) as events,
  coalesce(sum(cast(hash(
    event_id, event_type, "timestamp", user_id, action, resource, status, details, metadata, session_id, ip_address, source,
    ingested_at, batch, seq, salt
  ) as hugeint)), 0) as content
from rewritten;

-- name: of_person($who)
-- The day's rows, and of each whether it is one of the person's ($who: the name, and the pseudonym it may have already).
-- An event under a hold stays as it is.
create or replace temp table marked as
select
  *,
  not on_hold and coalesce(list_contains($who, user_id), false) as is_changed
from events;

-- name: traces($who)
-- The addresses and sessions of the person's events.
-- returns: text
with traces as (
  select unnest([ip_address, session_id]) as text
  from events
  where list_contains($who, user_id)
)

select distinct text
from traces
where text is not null;

-- name: marked_rows()
-- returns: rows
select count(*) as events
from marked;

-- name: new_texts()
-- What the texts of some marked rows become.
create or replace temp table new_texts (
  number bigint,
  resource varchar,
  details varchar,
  metadata varchar
);

-- name: keep_new_texts()
insert into new_texts
select number, resource, details, metadata
from arriving;

-- name: personal_rows($first, $behind, $hints, $person)
-- Of the marked rows from $first to before $behind, those to be changed whose other texts may name somebody: what stands
-- in a personal column, a word of the person's ($person), a key of a personal place ($hints), or an escape is in one.
-- returns: row, source, action, resource, status, details, metadata, user_id, ip_address, session_id
select
  rowid as number,
  source,
  action,
  resource,
  status,
  details,
  metadata,
  user_id,
  ip_address,
  session_id
from marked
where rowid >= $first
  and rowid < $behind
  and is_changed
  and len(list_filter(
    [action, resource, status, details, metadata],
    lambda text: contains(text, '\')
      or contains(text, user_id)
      or contains(text, ip_address)
      or contains(text, session_id)
      or len(list_filter($person, lambda word: contains(text, word))) > 0
      or len(list_filter($hints, lambda word: contains(text, word))) > 0
  )) > 0;

-- name: rows_as_they_stay($inner_key, $outer_key, $check_key, $id_inner_key, $id_outer_key)
-- The marked rows in time order, without the partition column, personal fields of those to be changed replaced:
-- HMAC-SHA256 of the value with a key of the lake, the two padded keys being bound, and eight digits that only the lake
-- can make. What is a pseudonym already stays. Where there was something personal, an id that was made from content is
-- replaced by its keyed form, the same with another key. `new_texts(number, resource, details, metadata)` has the texts of rows where these are others.
with pieces as (
  select
    *,
    rowid as number,
    case when is_changed then [user_id, ip_address, session_id] end as fields
  from marked
),

bodies as (
  select
    *,
    list_transform(fields, lambda text: left(sha256($outer_key || unhex(sha256($inner_key || encode(text)))), 32)) as body
  from pieces
),

named as (
  select
    *,
    list_transform(
      body, lambda text: 'pseudonym-' || text || left(sha256(cast($check_key as varchar) || text), 8)
    ) as pseudonym,
    list_transform(
      fields,
      lambda text: coalesce(
        starts_with(text, 'pseudonym-')
        and len(text) = 50
        and left(sha256(cast($check_key as varchar) || substr(text, 11, 32)), 8) = right(text, 8),
        false
      )
    ) as is_pseudonym
  from bodies
)

select
  case
    when is_changed
      and regexp_full_match(event_id, '[0-9a-f]{64}')
      and (coalesce(user_id, ip_address, session_id) is not null or new_texts.number is not null)
    then 'keyed-' || sha256($id_outer_key || unhex(sha256($id_inner_key || encode(event_id))))
    else event_id
  end as event_id,
  event_type,
  "timestamp",
  case when is_changed and not is_pseudonym[1] then pseudonym[1] else user_id end as user_id,
  action,
  if(new_texts.number is null, named.resource, new_texts.resource) as resource,
  status,
  if(new_texts.number is null, named.details, new_texts.details) as details,
  if(new_texts.number is null, named.metadata, new_texts.metadata) as metadata,
  case when is_changed and not is_pseudonym[3] then pseudonym[3] else session_id end as session_id,
  case when is_changed and not is_pseudonym[2] then pseudonym[2] else ip_address end as ip_address,
  source,
  ingested_at,
  batch,
  seq,
  salt
from named
left join new_texts on named.number = new_texts.number
order by "timestamp", batch, seq;

-- name: moved_rows()
-- The rows of the rewritten files that are gone or others in what replaces them. What another program wrote is of no batch,
-- and of no leaf of ours.
create or replace temp table moved as
with before as (
  select
    batch,
    seq,
    event_type,
    hash(
      event_id, event_type, "timestamp", user_id, action, resource, status, details, metadata, session_id, ip_address,
      source, ingested_at, salt
    ) as content
  from events
  where batch is not null
    and seq is not null
),

after as (
  select
    batch,
    seq,
    hash(
      event_id, event_type, "timestamp", user_id, action, resource, status, details, metadata, session_id, ip_address,
      source, ingested_at, salt
    ) as content
  from rewritten
  where batch is not null
    and seq is not null
)

select
  before.batch,
  before.seq,
  before.event_type,
  after.seq is null as is_gone
from before
left join after on before.batch = after.batch and before.seq = after.seq
where before.content is distinct from after.content;

-- name: differences()
-- How what replaces the rewritten files differs from them: rows that are gone, and rows that are others. Of the rows that
-- another program wrote no number tells which is which.
-- returns: gone, changed
with strangers as (
  select
    (
      select count(*)
      from (
        (from events where batch is null or seq is null)
        except all
        (from rewritten where batch is null or seq is null)
      )
    ) as before,
    (
      select count(*)
      from (
        (from rewritten where batch is null or seq is null)
        except all
        (from events where batch is null or seq is null)
      )
    ) as after
)

select
  (select count(*) from moved where is_gone) + before - after as gone,
  (select count(*) from moved where not is_gone) + after as changed
from strangers;

-- name: gone_rows()
-- returns: batch, event_type, seq
select batch, event_type, seq
from moved
where is_gone
order by batch, event_type, seq;

-- name: only_changed()
-- The rows that are others now, as they are now.
create or replace temp view events as
select rewritten.*
from rewritten
semi join moved
  on rewritten.batch = moved.batch and rewritten.seq = moved.seq
  and not moved.is_gone;

-- name: leaves_of_batches($batches, $goes)
-- The leaves of the rows of some batches (sql/ledger/leaves.sql), all of which go, or of none of which it is known.
-- returns: day (since 1970), batch, seq, goes, event_type, leaf
select
  cast(epoch_us("timestamp") // 86400000000 as integer) as day,
  batch,
  seq,
  cast($goes as boolean) as goes,
  event_type,
  as_leaf(event_bytes(
    event_id, event_type, "timestamp", user_id, action, resource, status, details, metadata, session_id, ip_address,
    source, ingested_at, batch, seq, salt
  )) as leaf
from events
where list_contains($batches, batch);

-- name: going_leaves($types, $cutoffs, $default_cutoff, $batches, $changed)
-- The rows of some batches, and which of them are due: `staying_alone` leaves these out. Leaves are given of them, and of
-- all rows of the batches $changed.
-- returns: day (since 1970), batch, seq, goes, event_type, leaf
with judged as (
  select
    *,
    not on_hold and coalesce(
      "timestamp" < case
        when list_contains($types, event_type)
        then list_extract(cast($cutoffs as timestamptz[]), list_position($types, event_type))
        else cast($default_cutoff as timestamptz)
      end,
      false
    ) as goes
  from events
  where list_contains($batches, batch)
)

select
  cast(epoch_us("timestamp") // 86400000000 as integer) as day,
  batch,
  seq,
  goes,
  event_type,
  case
    when goes or list_contains($changed, batch)
    then as_leaf(event_bytes(
      event_id, event_type, "timestamp", user_id, action, resource, status, details, metadata, session_id, ip_address,
      source, ingested_at, batch, seq, salt
    ))
  end as leaf
from judged;

-- name: going_counts($types, $cutoffs, $default_cutoff)
-- How many rows of which batches and types of some days are due.
-- returns: batch, event_date, event_type, rows
select
  batch,
  event_date,
  event_type,
  count(*) as events
from events
where not on_hold
  and coalesce(
    "timestamp" < case
      when list_contains($types, event_type)
      then list_extract(cast($cutoffs as timestamptz[]), list_position($types, event_type))
      else cast($default_cutoff as timestamptz)
    end,
    false
  )
group by batch, event_date, event_type
order by batch, event_date, event_type;

-- name: batches()
-- How many rows of which batches and types files of some days have. What another program wrote is of no batch.
-- returns: batch, event_date, event_type, rows
select
  batch,
  event_date,
  event_type,
  count(*) as events
from events
where batch is not null
group by batch, event_date, event_type
order by batch, event_date, event_type;

-- name: person_days($who)
-- A person's events by day ($who: the name, and its pseudonym), of which types they are, and those under a hold.
-- returns: day, types, held
select
  event_date - date '1970-01-01' as day,
  list(distinct event_type) as types,
  count(*) filter (on_hold) as held
from events
where list_contains($who, user_id)
group by day
order by day;

-- name: person_named($who, $check_key, $in_details, $told_details, $above_details, $in_metadata, $told_metadata, $above_metadata, $nobody, $person)
-- The person's events that are not held and still name them, or may do so, as `over_limit` of judge.sql has it. Where an
-- earlier version erased the name, it may be left in the texts as it is written there ($person).
-- returns: day, source, resource, details, metadata (null where the event is sure), events
with theirs as (
  select
    *,
    event_date - date '1970-01-01' as day,
    list_filter([user_id, ip_address, session_id], lambda text: text is not null) as fields
  from events
  where list_contains($who, user_id)
    and not on_hold
),

judged as (
  select
    *,
    len(list_filter(
      fields,
      lambda text: coalesce(
        not (
          starts_with(text, 'pseudonym-')
          and len(text) = 50
          and left(sha256(cast($check_key as varchar) || substr(text, 11, 32)), 8) = right(text, 8)
        ),
        true
      )
    )) > 0
    or regexp_full_match(event_id, '[0-9a-f]{64}') as is_named
  from theirs
),

doubted as (
  select
    *,
    not is_named and (
      len(list_filter(
        [resource, details, metadata],
        lambda text: contains(text, '\') or len(list_filter($person, lambda word: contains(text, word))) > 0
      )) > 0
      or case
        when json_valid(details)
        then list_contains(json_type(details, $above_details), 'ARRAY') or len(list_filter(
          json_keys(details, $above_details),
          lambda keys: len(keys) > len(list_distinct(keys))
        )) > 0 or len(list_filter(
          list_concat(
            list_filter(json_extract_string(details, $in_details), lambda text: not regexp_full_match(text, $nobody)),
            json_extract_string(details, $told_details)
          ),
          lambda text: text is not null and coalesce(
            not (
              starts_with(text, 'pseudonym-')
              and len(text) = 50
              and left(sha256(cast($check_key as varchar) || substr(text, 11, 32)), 8) = right(text, 8)
            ),
            true
          )
        )) > 0
        else false
      end
      or case
        when json_valid(metadata)
        then list_contains(json_type(metadata, $above_metadata), 'ARRAY') or len(list_filter(
          json_keys(metadata, $above_metadata),
          lambda keys: len(keys) > len(list_distinct(keys))
        )) > 0 or len(list_filter(
          list_concat(
            list_filter(json_extract_string(metadata, $in_metadata), lambda text: not regexp_full_match(text, $nobody)),
            json_extract_string(metadata, $told_metadata)
          ),
          lambda text: text is not null and coalesce(
            not (
              starts_with(text, 'pseudonym-')
              and len(text) = 50
              and left(sha256(cast($check_key as varchar) || substr(text, 11, 32)), 8) = right(text, 8)
            ),
            true
          )
        )) > 0
        else false
      end
    ) as is_doubtful
  from judged
)

select
  day,
  case when is_doubtful then source end as source,
  case when is_doubtful then resource end as resource,
  case when is_doubtful then details end as details,
  case when is_doubtful then metadata end as metadata,
  count(*) as events
from doubted
where is_named or is_doubtful
group by all
order by day;

-- name: person_sources($who)
-- The sources of the person's events.
-- returns: source
select distinct source
from events
where list_contains($who, user_id)
order by source;

-- name: person_names($who, $source, $in_details, $in_metadata)
-- What stands at places of names in the person's events of a source: what is a name there may be any text elsewhere.
-- returns: text
with found as (
  select
    list_concat(
      case when json_valid(details) then json_extract_string(details, $in_details) end,
      case when json_valid(metadata) then json_extract_string(metadata, $in_metadata) end
    ) as texts
  from events
  where list_contains($who, user_id)
    and source = $source
)

select distinct unnest(texts) as text
from found;

-- name: elsewhere($who, $days, $pattern)
-- The events that have a name of the person ($pattern) and are not changed: other people's, and on other days than $days
-- the person's own. Those that a hold keeps are counted as held. What is given of each tells it from the others.
-- returns: event
select distinct hash(source, event_id, batch, seq) as event
from events
where not (coalesce(list_contains($who, user_id), false) and (on_hold or list_contains($days, event_date)))
  and len(list_filter(
    [user_id, action, resource, status, details, metadata, session_id],
    lambda text: regexp_matches(text, $pattern)
  )) > 0;

-- name: near($name)
-- The users whose names are most like one that no event has.
-- returns: user_id
with people as (
  select distinct
    user_id,
    contains(lower(user_id), lower($name)) or contains(lower($name), lower(user_id)) as has_it,
    jaro_winkler_similarity(lower(user_id), lower($name)) as similarity
  from events
  where user_id <> ''
    and not starts_with(user_id, 'pseudonym-')
)

select user_id
from people
where has_it
  or similarity > 0.8
order by has_it desc, similarity desc, user_id
limit 5;
