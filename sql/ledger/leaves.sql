-- name: leaves()
-- The Merkle leaf of every event, by batch, UTC day and place in the batch: the SHA-256 of a zero byte and of the event's
-- canonical bytes (auditlake/ledger/leaves.py). `concat` passes over nulls, so a null text is a colon alone and an empty
-- one `0:`. A text of a column is never cast: it may be a megabyte.
-- returns: batch, day (since 1970), seq, leaf
select
  batch,
  cast(epoch_us("timestamp") // 86400000000 as integer) as day,
  seq,
  unhex(sha256(concat(
    chr(0),
    strlen(event_id), ':', event_id,
    strlen(event_type), ':', event_type,
    epoch_us("timestamp"), ';',
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
  ))) as leaf
from events
order by batch, day, seq;
