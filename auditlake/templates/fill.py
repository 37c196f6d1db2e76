"""Filling users' templates with reports: in a confined process, each within ten seconds, 512 MB, and 32 MB of output.

What comes out belongs to whoever wrote the template: it is no evidence, no other file names it, and it says in its
first lines, where its form has comments, which report it was made of.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from auditlake.confined.worker import FailedError, Limits, Worker
from auditlake.errors import ReportError
from auditlake.templates.files import Template, TemplateFolder

_MEGABYTE = 1_000_000
LIMITS = Limits(seconds=10, memory=512 * _MEGABYTE, output=32 * _MEGABYTE)
_COMMENTS = {
    **dict.fromkeys(("htm", "html", "markdown", "md", "svg", "xhtml", "xml"), "<!-- {} -->\n"),
    **dict.fromkeys(("cfg", "conf", "ini", "org", "py", "r", "sh", "toml", "yaml", "yml"), "# {}\n"),
    **dict.fromkeys(("css", "js", "ts"), "/* {} */\n"),
    **dict.fromkeys(("adoc",), "// {}\n"), **dict.fromkeys(("rst",), ".. {}\n\n"),
    **dict.fromkeys(("lua", "sql"), "-- {}\n"), **dict.fromkeys(("tex",), "% {}\n"),
}  # fmt: skip
"""How a form comments, by ending; one that is not listed has no comments."""
_FIRST = re.compile(rb"\A(?:<\?xml[^>]*\?>\s*|#![^\n]*\n)")
"""What must stand before anything else in a file."""


@dataclass(frozen=True, slots=True)
class Filled:
    """What a template made of a report."""

    ending: str
    """What stands after the report's stem: the template's name and the ending."""
    data: bytes


@dataclass(slots=True)
class Filler:
    """Fills templates of a folder, one report after the other; a process is started with the first."""

    folder: TemplateFolder
    _worker: Worker = field(default_factory=lambda: Worker("auditlake.templates.work", LIMITS))
    _stopped: set[str] = field(default_factory=set)
    """Files of the templates that came to a limit."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker.close()

    def fill(self, template: Template, report: bytes, about: Mapping[str, str]) -> Filled | None:
        """Fill a template with a report.

        Args:
            template: One of the folder's.
            report: The report's canonical JSON.
            about: What it may name beside ``report``, ``digest`` and ``pictures``.

        Returns:
            What it made; None where that is nothing but space: so a template leaves a report out.

        Raises:
            ReportError: The template has a mistake, or came to a limit: then it is not tried again.
        """
        if template.file in self.folder.faults:
            raise self._refused(template, self.folder.faults[template.file])
        if template.file in self._stopped:
            raise self._refused(template, "it came to a limit with an earlier report, and was not tried again")
        digest = f"sha256:{hashlib.sha256(report).hexdigest()}"
        told = {
            "file": template.file, "most": LIMITS.output,
            "variables": {**about, "digest": digest, "pictures": dict(self.folder.pictures)},
        }  # fmt: skip
        try:
            made = self._worker.run(told, json.dumps(dict(self.folder.sources)).encode(), report)
        except FailedError as failed:
            if failed.is_over:
                self._stopped.add(template.file)
            raise self._refused(template, f"{failed}") from failed
        if not made.strip():
            return None
        return Filled(f"{template.name}.{template.ending}", _said(template, digest, made))

    def _refused(self, template: Template, why: str) -> ReportError:
        memory, output = (f"{each // _MEGABYTE} MB" for each in (LIMITS.memory, LIMITS.output))
        limits = f"{LIMITS.seconds:g} seconds, {memory} of memory, {output} of output, and no file"
        message = why if why.startswith(f"{template.file}") else f"{template.file}: {why}"
        return ReportError(
            f"the template {message}",
            hint=f"mend {self.folder.folder / template.file}; a template has {limits}",
        )


def _said(template: Template, digest: str, made: bytes) -> bytes:
    """Return what was made, with a comment that says of what."""
    comment = _COMMENTS.get(template.ending)
    if comment is None:
        return made
    first = match[0] if (match := _FIRST.match(made)) else b""
    said = comment.format(f"made by auditlake of the report {digest} with the template {template.name}; not evidence")
    return first + said.encode() + made[len(first) :]
