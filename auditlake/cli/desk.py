"""``desk``: auditors ask by their accounts, over a socket, without a right over any file of the lake."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import click

from auditlake.cli.options import Kind, json_option
from auditlake.cli.output import as_json, is_json, opened, say, warn
from auditlake.config import read_config
from auditlake.disk.layout import Layout
from auditlake.display.text import visible
from auditlake.machine import system_clock
from auditlake.storage.lake import folder_of, is_url

_KEYS = ("event", "account", "uid", "session", "snapshot", "questions", "message")


def _mode(text: str) -> int:
    """Read the mode of a file, such as 0660."""
    if len(text) not in {3, 4} or set(text) - set("01234567") or int(text, 8) & ~0o777:
        raise ValueError(f"expected a mode such as 0660, got {text[:20]!r}")
    return int(text, 8)


@click.group()
def desk() -> None:
    """Let auditors ask by their accounts, without the lake's files."""


@desk.command()
@click.option("--socket", "place", metavar="PATH", type=click.Path(path_type=Path),
              help="Where to listen, unless systemd passes a socket.")  # fmt: skip
@click.option("--mode", type=Kind("mode", _mode), default="0666", show_default=True,
              help="Who may connect; auditor.yaml says who may ask.")  # fmt: skip
@click.option("--group", metavar="NAME", help="The group of the socket; this process's by default.")
@json_option(*_KEYS, text="Print what happens as one JSON object a line")
@click.pass_obj
def listen(path: str, place: Path | None, mode: int, group: str | None) -> None:
    """Serve the sandbox on a Unix socket, until SIGTERM or Ctrl-C.

    The principal is the account that connects, as the kernel tells it. auditor.yaml names who may ask, by account or by
    group, and what each of them sees. Each session is a process of its own.
    """
    from auditlake.desk import door
    from auditlake.desk.listen import Desk

    # The client of buckets has threads, and what listens forks: each session brings this host's copy up to date.
    layout = Layout(folder_of(path)) if is_url(path) else opened(path).layout
    settings = read_config(layout).desk
    _show_what_happens()
    if (found := door.passed()) is None:
        if place is None:
            raise click.UsageError("expected --socket, or a socket from systemd")
        found = door.opened(place, mode=mode, group=group)
    elif place is not None:
        raise click.UsageError("systemd passes a socket already; leave --socket out")
    try:
        Desk(layout, settings, system_clock, found).run()
    finally:
        found.close()


def _show_what_happens() -> None:
    """Print what the desk logs: objects on standard output, or else lines on standard error."""

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            facts: dict[str, Any] = getattr(record, "facts", {})
            if is_json():
                click.echo(as_json({key: facts.get(key) for key in _KEYS} | {"message": record.getMessage()}))
            elif record.levelno > logging.INFO:
                warn(record.getMessage())
            else:
                say(visible(record.getMessage()), err=True)

    log = logging.getLogger("auditlake.desk")
    log.handlers = [Lines()]
    log.propagate = False
    log.setLevel(logging.INFO)
