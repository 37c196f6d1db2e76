"""``watch``: alerts as it happens, on a terminal."""

from __future__ import annotations

import signal
import stat
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from auditlake.cli.output import opened, plain
from auditlake.disk.files import kind_of
from auditlake.errors import AuditLakeError, LakeFormatError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditlake.alerts.model import Alert
    from auditlake.events.durations import Duration
    from auditlake.lake import AuditLake


_LOOK_SECONDS = 1.0
_END_SECONDS = 30.0


class Lateness(click.ParamType["Duration"]):
    """A length of time such as 10m."""

    name = "length"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Duration:
        """Read it, or tell what was expected."""
        from auditlake.config import parse_lateness

        try:
            return parse_lateness(value)
        except ValueError as error:
            self.fail(str(error).removeprefix("lateness: "), param, ctx)


@click.command()
@click.option("--webhook", metavar="URL", help="Post each alert there as JSON too.")
@click.option("--jsonl", metavar="FILE", type=click.Path(dir_okay=False), help="Append each alert to this file too.")
@click.option("--once", is_flag=True, help="Evaluate what was logged until now, and end.")
@click.option("--lateness", type=Lateness(), metavar="LENGTH",
              help="What comes later than this is judged once it is flushed; lake.toml says, or 10m.")  # fmt: skip
@click.option("--verbose", is_flag=True, help="Also say which policies are evaluated, and where alerts go.")
@click.pass_obj
def watch(
    path: str, webhook: str | None, jsonl: str | None, once: bool, lateness: Duration | None, verbose: bool
) -> None:
    """Evaluate the policies as events are logged, and print a line for each alert and its resolution.

    One process at a time evaluates a lake: while another one does, this one waits for it to end.
    """
    from auditlake.alerts.sinks import JsonlSink
    from auditlake.alerts.watch import evaluate_once, start_watching
    from auditlake.alerts.webhook import Webhook
    from auditlake.machine import system_clock

    lake = opened(path)
    _tell_file(lake)
    _show_troubles()
    sinks: list[Any] = [show]
    try:
        sinks += [Webhook(webhook)] if webhook else []
    except ValueError as error:
        raise click.BadParameter(str(error).removeprefix("webhook: "), param_hint="--webhook") from error
    sinks += [JsonlSink(Path(jsonl).absolute())] if jsonl else []
    late = lateness.microseconds if lateness else None
    if verbose:
        _show_rest(lake, [webhook or lake.config.alerts.webhook, jsonl or lake.config.alerts.jsonl])
    if once:
        evaluate_once(lake.layout, lake.config, system_clock, sinks, lateness=late)
        return
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    watching = start_watching(lake.layout, lake.config, system_clock, sinks, lateness=late, threads=None)
    told = ""
    while not ended.wait(_LOOK_SECONDS):
        # At first it does neither: the engine is slow to import, and what was logged before is evaluated first.
        if watching.is_evaluating and told != (said := "evaluating; alerts are printed here until Ctrl-C"):
            click.echo(told := said, err=True)
        if watching.is_waiting and told != (said := "another process evaluates this lake; waiting for it to end"):
            click.echo(told := said, err=True)
    watching.stop(wait_seconds=_END_SECONDS)


def _tell_file(lake: AuditLake) -> None:
    """Name the file outside of the lake that its lake.toml has alerts appended to: the lake may come from anywhere.

    Raises:
        LakeFormatError: The file is a link, or no regular file.
    """
    if (said := lake.config.alerts.jsonl) is None:
        return
    path = lake.layout.root / said
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(mode := path.lstat().st_mode):
            message = f"{path}: this is {kind_of(mode)}, expected a regular file to append alerts to"
            raise LakeFormatError(message, hint="let alerts.jsonl in lake.toml name another file, or take it out")
    if not path.is_relative_to(lake.layout.root):
        click.echo(plain(f"alerts are appended to {path} too, as lake.toml says"), err=True)


def _show_rest(lake: AuditLake, places: Sequence[object]) -> None:
    """What is evaluated, and where alerts go too: of a URL the host alone, since what follows may be a secret."""
    with suppress(AuditLakeError):  # said as what goes wrong
        for each in (policy for policy in lake.policies() if policy.alert_threshold):
            by = f" by {', '.join(each.group_by)}" if each.group_by else ""
            click.echo(plain(f"policy {each.id}: {each.alert_threshold} in {each.window}{by}"), err=True)
    for place in filter(None, places):
        parts = urlsplit(str(place))
        click.echo(
            plain(f"alerts go to {f'{parts.scheme}://{parts.hostname}' if parts.hostname else place} too"), err=True
        )


def _show_troubles() -> None:
    """What goes wrong is said on standard error; alerts themselves are printed, so their log is for nobody."""
    import logging

    class Troubles(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            click.echo(f"auditlake: {plain(record.getMessage())}", err=True)

    log = logging.getLogger("auditlake.alerts.watch")
    log.handlers = [Troubles()]
    log.propagate = False
    logging.getLogger("auditlake.alerts").addHandler(logging.NullHandler())


def show(alert: Alert) -> None:
    """Print an alert as one line that a terminal can only show."""
    from auditlake.cli.output import cell

    word = "resolved" if alert.kind == "resolved" else "LATE ALERT" if alert.late else "ALERT"
    click.echo(plain(f"{cell(alert.at)}  {word}  {alert.severity}  {alert.policy_id}  {alert.message}"))


COMMANDS = (watch,)
