"""Events in the words of other schemas: ``lake.export``."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING, Unpack

from auditlake.context import Facet

if TYPE_CHECKING:
    from auditlake.export.model import Exported, Filters


class Export(Facet):
    """What other tools read."""

    def ocsf(
        self,
        out: str | Path | IO[bytes],
        *,
        version: str = "1.8.0",
        parquet: bool | None = None,
        snapshot: int | None = None,
        **filters: Unpack[Filters],
    ) -> Exported:
        """Write events as OCSF, in time order; memory does not grow with them.

        Args:
            out: A file, which is there whole or not at all and replaces one of its name; or a stream of bytes.
            version: ``1.8.0`` or ``1.9.0``.
            parquet: Whether as Parquet, a column an attribute, or as lines of JSON; if None, Parquet for a file whose
                name ends in ``.parquet``.
            snapshot: The version of the lake to read; everything that was ingested or logged if None.
            **filters: Those of ``lake.events``: ``event_type``, ``since``, ``until``, ``user_id``, ``status``,
                ``resource``, ``ip_address``, ``session_id``, ``source``.

        Raises:
            QueryError: There is no such version of OCSF.
            SnapshotError: The snapshot does not exist or cannot be read exactly any more.
            LakeError: The disk refused.
        """
        from auditlake.export.ocsf import export_ocsf

        target = Path(out) if isinstance(out, str) else out
        if parquet is None:
            parquet = isinstance(target, Path) and target.suffix.lower() == ".parquet"
        return export_ocsf(self._context, target, version=version, parquet=parquet, snapshot=snapshot, **filters)
