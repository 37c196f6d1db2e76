"""What became different between two reports: ``lake.runs.changes``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auditlake.changes.model import Changes, Step


@dataclass(frozen=True, slots=True)
class ChangeReport:
    """A change report, ready to be read, shown and written."""

    changes: Changes
    """What it says."""
    _bytes: dict[str, bytes] = field(default_factory=dict, repr=False, compare=False)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The evaluations from the earlier report to the later one, each with what differs from the one before it."""
        return self.changes.steps

    @property
    def stem(self) -> str:
        """Its files' name without their ending."""
        from auditlake.changes.page import stem_of

        return stem_of(self.changes)

    def json(self) -> bytes:
        """Return the canonical JSON."""
        from auditlake.changes.document import render_json

        return self._bytes.setdefault("json", render_json(self.changes))

    def html(self, *, index_file: str | None = None) -> bytes:
        """Return the page, which stands by itself.

        Args:
            index_file: The list of reports beside it, which it links to.
        """
        from auditlake.changes.page import changes_page
        from auditlake.display.templates import render_bytes

        return render_bytes(changes_page(self.changes, index_file=index_file))

    def write(self, folder: str | Path, formats: Sequence[str] = ("json", "html")) -> tuple[Path, ...]:
        """Write it into a folder, each file whole or not at all, over one of its name: it can be made again.

        Raises:
            ReportError: The folder cannot be written to.
        """
        from auditlake.reports.files import write_over

        there = Path(folder)
        index = "index.html" if (there / "index.html").is_file() else None
        files = {"json": self.json(), "html": self.html(index_file=index)}
        return write_over(there, {f"{self.stem}.{each}": files[each] for each in formats})
