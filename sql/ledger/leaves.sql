-- name: hashed()
-- What `leaves` gives of an event's bytes: their hash. A macro is filled in where it stands, so they are no column, which
-- DuckDB would hold for thousands of events at a time.
create or replace temp macro as_leaf(bytes) as unhex(sha256(bytes));

-- name: unhashed()
-- The same: the bytes themselves, for who hashes them.
create or replace temp macro as_leaf(bytes) as bytes;

-- name: event_bytes()
-- The canonical bytes of an event (auditlake/ledger/leaves.py), after the zero byte that makes the hash over them a leaf.
-- `concat` passes over nulls, so a null text is a colon alone and an empty one `0:`. A text of a column is never cast: it
-- may be a megabyte. The arguments are columns, and filled in where they stand.
create or replace temp macro event_bytes(
  event_id, event_type, happened, user_id, action, resource, status, details, metadata, session_id, ip_address, source,
  ingested_at, batch, seq, salt
) as concat(
  chr(0),
  strlen(event_id), ':', event_id,
  strlen(event_type), ':', event_type,
  epoch_us(happened), ';',
  strlen(user_id), ':', user_id,
  strlen(action), ':', action,
  strlen(resource), ':', resource,
  strlen(status), ':', status,
  strlen(details), ':', details,
  strlen(metadata), ':', metadata,
  strlen(session_id), ':', session_id,
  strlen(ip_address), ':', ip_address,
  strlen(source), ':', source,
  epoch_us(ingested_at), ';',
  batch, ';',
  seq, ';',
  strlen(hex(salt)), ':', hex(salt)
);

-- name: ranked_types($value)
-- The event types in the order in which their leaves come.
set variable ranked_types = $value;

-- name: ranked_since($value)
-- The lowest number of a batch of which leaves are ordered by type.
set variable ranked_since = $value;

-- name: unranked_batches($value)
-- The batches of higher numbers of which they are not.
set variable unranked_batches = cast($value as bigint[]);

-- name: ranked()
-- The place of a type in that order, from 1; 0 for one that is not in it, and in batches that are not ordered by type.
create or replace temp macro as_rank(batch, event_type) as case
  when batch < getvariable('ranked_since')
    or list_contains(getvariable('unranked_batches'), batch)
  then 0
  else coalesce(list_position(getvariable('ranked_types'), event_type), 0)
end;

-- name: unranked()
-- The same where nothing is ordered by type.
create or replace temp macro as_rank(batch, event_type) as 0;

-- name: leaves()
-- The Merkle leaf of every event: the SHA-256 of its bytes, or these; see the macros above.
-- returns: batch, day (since 1970), rank (the place of its type among those that leaves are ordered by), seq, leaf
select
  batch,
  cast(epoch_us("timestamp") // 86400000000 as integer) as day,
  as_rank(batch, event_type) as "rank",
  seq,
  as_leaf(event_bytes(
    event_id, event_type, "timestamp", user_id, action, resource, status, details, metadata, session_id, ip_address,
    source, ingested_at, batch, seq, salt
  )) as leaf
from events;

-- name: keep_leaves()
-- The table of leaves that are asked for part by part.
create or replace temp table leaves_now as
select batch, day, seq, leaf
from some_leaves;

-- name: kept_leaves($batch, $day)
-- Those of one part of that table, in order.
-- returns: seq, leaf
select
  seq,
  leaf
from leaves_now
where batch = $batch and day = $day
order by seq, leaf;

-- name: batch_leaves($batch, $day)
-- The leaves of a batch on a day (since 1970), in the order of type and seq.
-- returns: event_type, seq, leaf
select
  event_type,
  seq,
  as_leaf(event_bytes(
    event_id, event_type, "timestamp", user_id, action, resource, status, details, metadata, session_id, ip_address,
    source, ingested_at, batch, seq, salt
  )) as leaf
from events
where batch = $batch
  and epoch_us("timestamp") // 86400000000 = $day
order by event_type, seq, leaf;

-- name: events_named($event_ids)
-- Every event of these ids, as its canonical bytes have it: times in microseconds, a blob in hexadecimal.
-- returns: the columns of an event, in the order in which they are hashed, and its day (since 1970)
select
  event_id,
  event_type,
  epoch_us("timestamp") as "timestamp",
  user_id,
  action,
  resource,
  status,
  details,
  metadata,
  session_id,
  ip_address,
  source,
  epoch_us(ingested_at) as ingested_at,
  batch,
  seq,
  hex(salt) as salt,
  cast(epoch_us("timestamp") // 86400000000 as integer) as day
from events
where event_id in (select unnest(cast($event_ids as varchar[])))
order by batch, seq;

-- name: delta_checkpoint($path)
-- The files of a checkpoint of the Delta log, each as the action that adds it: which fields it has depends on its writer.
-- returns: add (JSON)
select cast(to_json("add") as varchar) as "add"
from read_parquet($path)
where "add" is not null;
