"""SHA-256 of very many values at once, with the processor's instructions for it.

hashlib has them too, but takes longer to begin than to hash what an event or a node is; DuckDB does without them.
"""

from __future__ import annotations

import sys
from binascii import unhexlify
from typing import Any

_WORTH = 300_000
"""From how many values on the time is won back that loading the library takes."""
_FEW = 1_000
"""Below so many values a call of the library costs more than it saves."""


def expect(count: int) -> bool:
    """Whether that many values are worth it; if so, everything is loaded."""
    if count >= _WORTH:
        import polars_hash  # noqa: F401
    return count >= _WORTH


def is_quicker(count: int) -> bool:
    """Whether :func:`digests` of so many values is quicker than hashlib now."""
    return count >= _FEW and "polars_hash" in sys.modules


def digests(values: Any) -> bytes:
    """Return the SHA-256 of each of the values (an Arrow array of bytes, without nulls), one after the other."""
    _, _, text = hexadecimal(values).buffers()
    return unhexlify(memoryview(text)[: 64 * len(values)])


def hexadecimal(values: Any) -> Any:
    """Return the SHA-256 of each of the values (an Arrow array of texts or bytes, without nulls) as an Arrow array of
    64 hex digits each, whose texts lie one after the other.
    """
    import polars as pl
    import polars_hash

    column = pl.from_arrow(values)
    assert isinstance(column, pl.Series)
    digits = column.to_frame("value").select(polars_hash.col("value").chash.sha2_256()).to_series()
    return digits.to_arrow(compat_level=pl.CompatLevel.oldest())  # the oldest layout of Arrow has them in one buffer
