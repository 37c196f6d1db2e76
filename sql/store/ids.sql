-- name: ids()
-- A hash of the source and id of every event in `events`, 48 bits, with the number of the file that has it, and whether
-- the id is one that an erasure keyed (auditlake/store/pseudonyms.py).
-- returns: hash, file, keyed
select
  hash(source, event_id) >> 16 as hash,
  cast(file_index as uinteger) as file,
  starts_with(event_id, 'keyed-') as keyed
from events;

-- name: sought_ids()
-- The same hashes of what is looked for.
-- returns: hash
select hash(source, event_id) >> 16 as hash
from looked_for;

-- name: hashing()
-- How this DuckDB hashes texts of many lengths, as one number: what another one hashed otherwise is of no use.
-- returns: hashing
select hash(list(hash('auditlake', repeat('é', n) || n) order by n)) as hashing
from range(80) as lengths(n);
