"""The press: pages become PDFs in a confined process that fetches nothing, each with an end to its time and memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from types import TracebackType
from typing import Self

from auditlake.confined.worker import FailedError, Limits, Worker
from auditlake.errors import ReportError

_MEGABYTE = 1_000_000
LIMITS = Limits(seconds=300, memory=2_000 * _MEGABYTE, output=256 * _MEGABYTE)
_FONTS = ("HOME", "FONTCONFIG_FILE", "FONTCONFIG_PATH", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
"""The variables by which fontconfig finds the fonts of the machine and of its user."""
_OTHERWISE = (
    "pip install 'auditlake[pdf]', and Pango of the system (Debian: apt-get install libpango-1.0-0 libpangoft2-1.0-0, "
    "macOS: brew install pango); or open the page of --format html in any browser, which prints it"
)


@dataclass(frozen=True, slots=True)
class Enclosed:
    """A file inside of a PDF: the data that it was made of."""

    name: str
    data: bytes
    about: str
    """What it is, in a few words."""


@dataclass(slots=True)
class Press:
    """Sets pages as PDFs, one after the other; its process is started with the first."""

    _worker: Worker = field(default_factory=lambda: Worker("auditlake.printing.work", LIMITS, _environment()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker.close()

    def pdf(self, page: bytes, enclosed: Enclosed, as_of: datetime) -> bytes:
        """Return a page as PDF/A-3a: the same bytes for the same page and data, with the same fonts and WeasyPrint.

        Args:
            page: HTML with its style inside, written for paper.
            enclosed: The data that the page was made of.
            as_of: The only instant that the file names.

        Raises:
            ReportError: The extra ``pdf`` or Pango is missing, or it took more than it may.
        """
        refuse_missing()
        told = {
            "name": enclosed.name, "about": enclosed.about, "at": as_of.astimezone(UTC).isoformat(),
            "identifier": hashlib.sha256(enclosed.data).hexdigest()[:32],
        }  # fmt: skip
        try:
            return self._worker.run(told, page, enclosed.data)
        except FailedError as failed:
            if "cannot load library" in f"{failed}":
                raise ReportError("a PDF needs Pango, which this system does not have", hint=_OTHERWISE) from failed
            limits = f"{LIMITS.seconds:g} seconds and {LIMITS.memory // _MEGABYTE:,} MB of memory"
            hint = f"a PDF has {limits}; --no-annex leaves the SQL out, and any browser prints the page"
            raise ReportError(f"the PDF cannot be made: {failed}", hint=hint) from failed


def refuse_missing() -> None:
    """Make sure that WeasyPrint is installed.

    Raises:
        ReportError: It is not; the hint says what to install, and what to do without it.
    """
    if find_spec("weasyprint") is None:
        raise ReportError("a PDF needs WeasyPrint, which is not installed", hint=_OTHERWISE)


def _environment() -> Mapping[str, str]:
    return {name: value for name in _FONTS if (value := os.environ.get(name))}
