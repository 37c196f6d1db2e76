"""Every cutter by its name in ``read`` of a mapping."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from auditlake.sources.cutters.auditd import cut_auditd
from auditlake.sources.cutters.csv_rows import cut_csv
from auditlake.sources.cutters.kv import cut_kv
from auditlake.sources.cutters.otlp import cut_otlp
from auditlake.sources.cutters.parquet_rows import cut_parquet
from auditlake.sources.cutters.text_lines import cut_text
from auditlake.sources.mappings.outline import Outline
from auditlake.sources.model import Batch


class Cutter(Protocol):
    """Cuts a stream into records, by what the mapping of its source says."""

    def __call__(self, stream: Any, max_record: int, outline: Outline, /) -> Iterator[Batch]:
        """Yield the records of a stream.

        Args:
            stream: What to read.
            max_record: The longest record in bytes.
            outline: The plain facts of the mapping.

        Raises:
            SourceError: The input as a whole is none that can be cut in this way.
        """


CUTTERS: dict[str, Cutter] = {
    "csv": cut_csv,
    "lines": cut_text,
    "kv": cut_kv,
    "auditd": cut_auditd,
    "otlp": cut_otlp,
    "parquet": cut_parquet,
}
"""The cutters; ``json`` is none of them, since every source can be read so."""
TEXTS = ("csv", "lines", "kv", "auditd")
"""Those that read text which is no JSON."""
