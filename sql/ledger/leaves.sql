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

-- name: leaves()
-- The Merkle leaf of every event: the SHA-256 of its bytes, or these; see the macros above.
-- returns: batch, day (since 1970), seq, leaf
select
  batch,
  cast(epoch_us("timestamp") // 86400000000 as integer) as day,
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

-- name: event($event_id)
-- Every event of this id, as its canonical bytes have it: times in microseconds, a blob in hexadecimal.
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
where event_id = $event_id
order by batch, seq;

-- name: delta_checkpoint($path)
-- The files of a checkpoint of the Delta log.
-- returns: path
select "add".path as path
from read_parquet($path)
where "add" is not null;
