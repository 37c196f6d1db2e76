"""``watch``: alerts as it happens, on a terminal."""

from __future__ import annotations

import signal
import stat
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from auditlake.alert_settings import parse_lateness
from auditlake.cli.exit_codes import DONE, NEGATIVE
from auditlake.cli.options import Kind, json_option
from auditlake.cli.output import as_json, cell, is_json, opened, say, warn
from auditlake.disk.files import kind_of
from auditlake.display.text import visible
from auditlake.errors import AuditLakeError, LakeFormatError
from auditlake.events.durations import Duration
from auditlake.lake import AuditLake
from auditlake.machine import system_clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditlake.alerts.model import Alert


_LOOK_SECONDS = 1.0
_END_SECONDS = 30.0


@partial(Kind, "length")
def length(text: str) -> Duration:
    """Read a length of time such as 10min."""
    try:
        return parse_lateness(text)
    except ValueError as error:
        raise ValueError(str(error).removeprefix("lateness: ")) from error


@click.command()
@click.option("--webhook", metavar="URL", help="Also post each alert to this URL as JSON.")
@click.option("--jsonl", metavar="FILE", type=click.Path(dir_okay=False), help="Also append each alert to this file.")
@click.option("--test", is_flag=True, help="Send a test to each place that lake.toml sends alerts to, and exit.")
@click.option("--once", is_flag=True, help="Evaluate what was logged until now, and exit.")
@click.option("--lateness", type=length, metavar="LENGTH",
              help="Events later than this are evaluated after the flush; lake.toml's or 10min if absent.")  # fmt: skip
@click.option("--verbose", is_flag=True, help="Also list the policies that are evaluated, and where alerts go.")
@json_option(
    "id", "kind", "policy_id", "policy_name", "severity", "group", "at", "count", "threshold", "window", "late",
    "raised_at", "message", text="Print each alert as one JSON object a line",
)  # fmt: skip
@click.pass_obj
def watch(
    path: str, webhook: str | None, jsonl: str | None, test: bool, once: bool, lateness: Duration | None, verbose: bool
) -> int:
    """Evaluate policies as events are logged, and print alerts.

    Each alert and each resolution is a line. One process at a time evaluates a lake; another one waits for it to end.
    """
    from auditlake.alerts.sinks import JsonlSink
    from auditlake.alerts.watch import Watch, evaluate_once
    from auditlake.alerts.webhook import Webhook

    lake = opened(path)
    if test:
        return _test(lake)
    _tell_file(lake)
    _show_troubles()
    sinks: list[Any] = [(lambda alert: click.echo(as_json(alert.as_dict()))) if is_json() else show]
    try:
        sinks += [Webhook(webhook)] if webhook else []
    except ValueError as error:
        raise click.BadParameter(str(error).removeprefix("webhook: "), param_hint="--webhook") from error
    sinks += [JsonlSink(Path(jsonl).absolute())] if jsonl else []
    late = lateness.microseconds if lateness else None
    if verbose:
        _show_rest(lake, [webhook or lake.config.alerts.webhook, jsonl or lake.config.alerts.jsonl])
        for each in lake.config.alerts.sinks:
            when = f", once a day at {each.digest:%H:%M} UTC" if each.digest else ""
            warn(f"alerts go to {each.called} too{when}")
    if once:
        evaluate_once(lake.layout, lake.config, system_clock, sinks, lateness=late)
        return DONE
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    watching = Watch(lake.layout, lake.config, system_clock, sinks, lateness=late, threads=None)
    watching.start()
    last = ""
    while not ended.wait(_LOOK_SECONDS):
        # At first it does neither: the engine is slow to import, and earlier events are evaluated first.
        if watching.is_evaluating and last != (state := "evaluating; alerts are printed here until Ctrl-C"):
            say(last := state, err=True)
        if watching.is_waiting and last != (state := "another process evaluates this lake; waiting for it to end"):
            say(last := state, err=True)
    watching.stop(wait_seconds=_END_SECONDS)
    return DONE


def _test(lake: AuditLake) -> int:
    """Send a test to each place, print what became of it, and return the exit code."""
    from auditlake.alerts.configured import tried
    from auditlake.alerts.upkeep import readable_on_the_way, undelivered

    code = DONE if lake.config.alerts.is_sent else NEGATIVE
    if code != DONE:
        warn("lake.toml sends alerts nowhere: auditlake docs alerts says how it does")
    for name, receiver, problem in tried(lake.layout, lake.config.alerts, system_clock):
        code = NEGATIVE if problem else code
        if is_json():
            click.echo(as_json({"sink": name, "receiver": receiver, "problem": problem}))
        else:
            click.echo(visible(f"{name}: {f'failed: {problem}' if problem else 'sent'} ({receiver})"))
    for each in (*readable_on_the_way(lake.config.alerts), *undelivered(lake.layout, system_clock())):
        warn(visible(each))
    return code


def _tell_file(lake: AuditLake) -> None:
    """Name a file outside of the lake that lake.toml appends alerts to: the lake may come from anywhere.

    Raises:
        LakeFormatError: The file is a link, or no regular file.
    """
    if (name := lake.config.alerts.jsonl) is None:
        return
    path = lake.layout.root / name
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(mode := path.lstat().st_mode):
            message = f"{path}: this is {kind_of(mode)}, expected a regular file to append alerts to"
            raise LakeFormatError(message, hint="let alerts.jsonl in lake.toml name another file, or take it out")
    if not path.is_relative_to(lake.layout.root):
        warn(f"alerts are appended to {path} too, as lake.toml says")


def _show_rest(lake: AuditLake, places: Sequence[object]) -> None:
    """Print what is evaluated and where alerts go: only the host of a URL, since its path may be a secret."""
    from auditlake.policies.kinds import how_alerted

    with suppress(AuditLakeError):  # the evaluator reports it
        for each in (policy for policy in lake.policies.all() if policy.alert_threshold is not None):
            by = f" by {', '.join(each.group_by)}" if each.group_by else ""
            how = f"; {how}" if (how := how_alerted(each)) else ""
            warn(visible(f"policy {each.id}: {each.alert_threshold} in {each.window}{by}{how}"))
    for place in filter(None, places):
        parts = urlsplit(str(place))
        warn(f"alerts go to {f'{parts.scheme}://{parts.hostname}' if parts.hostname else place} too")


def _show_troubles() -> None:
    """Print the evaluator's warnings on standard error. Alerts are printed, and need no log."""
    import logging

    class Troubles(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            warn(f"auditlake: {record.getMessage()}")

    log = logging.getLogger("auditlake.alerts.watch")
    log.handlers = [Troubles()]
    log.propagate = False
    logging.getLogger("auditlake.alerts").addHandler(logging.NullHandler())


def show(alert: Alert) -> None:
    """Print an alert as one line."""
    word = "resolved" if alert.kind == "resolved" else "LATE ALERT" if alert.late else "ALERT"
    click.echo(visible(f"{cell(alert.at)}  {word}  {alert.severity}  {alert.policy_id}  {alert.message}"))
