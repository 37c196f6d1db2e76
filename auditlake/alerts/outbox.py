"""Alerts that are on the disk until their receiver has taken them, one by one or as one message a day.

``LAKE/alerts/undelivered/<sink>`` has a file for each message to be sent. Where a sink wants one message a day, the
alerts wait in its folder ``day``, until they are put together to one message: its file names those of the alerts, which
go only then, and it is sent only after that. So each alert is in one message, however often a process dies. A message
is sent again, with the same key, if a process dies after the receiver took it and before the file has gone.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import random
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from typing import Any, Literal

from auditlake.alerts.model import Alert
from auditlake.alerts.secrets import SecretError
from auditlake.alerts.sinks import Place, Sink
from auditlake.disk.durable import make_folders, sync_folder, write_whole
from auditlake.disk.files import read_file
from auditlake.display.text import visible
from auditlake.events.times import instant, micros, parse_instant, print_instant

MOST_UNDELIVERED = 10_000
"""How many alerts wait for a receiver at most; then the oldest are given up."""
OLDEST_UNDELIVERED = timedelta(days=7)
"""How long an alert waits for a receiver at most."""
_DAY = timedelta(days=1)
_GIVEN_UP = "given_up"
"""The file of a sink's folder that says how many alerts were given up."""
_FILES = "files"
"""The key of a digest that names the files of its alerts; it is not sent."""
_LOOK_SECONDS = 60.0
"""How long a sink that waits for the time of its message sleeps: the clock may be set meanwhile."""
_LOG = logging.getLogger("auditlake.alerts.watch")

_Outcome = Literal["taken", "rejected", "failed"]
"""What became of a message: ``rejected`` is its own, after ``failed`` the others would fare no better."""


class RejectedError(Exception):
    """The receiver does not take this message, and may take another one."""


class FailedError(Exception):
    """The receiver takes no message now."""


class Outbox(Sink):
    """Sends each alert, in order, until the receiver takes it.

    An alert that the receiver rejects waits aside and is sent again later, while those after it are delivered. It
    outlives a restart.

    Args:
        digest: When the alerts of a day are sent as one message, in UTC; each is sent at once if None.
        first_wait_seconds: How long to wait after a failure; twice as long after each further one, with some jitter.
        longest_wait_seconds: How long at most.
    """

    tries_again = True
    place: Place
    """What it knows of the lake; once it is open."""

    def __init__(
        self, *, digest: time_of_day | None = None, first_wait_seconds: float = 1.0, longest_wait_seconds: float = 300.0
    ) -> None:
        self._digest = digest
        self._first_wait, self._longest_wait = first_wait_seconds, longest_wait_seconds
        self._thread: threading.Thread | None = None
        self._number = 0
        self._damaged: set[str] = set()
        self._aside: dict[str, tuple[float, float]] = {}
        """File name of a rejected message to when it is sent again (monotonic) and how long it waited, in seconds."""

    @property
    def receiver(self) -> str:
        """Where messages go, as messages of ours may say it: without secrets."""
        raise NotImplementedError

    @property
    def lake(self) -> str:
        """What people are told of where an alert comes from."""
        return f"{self.place.root} on {socket.gethostname()}"

    def now(self) -> datetime:
        """Return the present."""
        return self.place.clock()

    def send(self, key: str, document: Mapping[str, Any]) -> None:
        """Send a message; whatever goes without an error was taken.

        Args:
            key: What names the message, the same however often it is sent.
            document: An alert as a dict, or a digest: ``kind`` is ``digest``, and ``alerts`` has the alerts.

        Raises:
            RejectedError: The receiver takes this one not.
            FailedError: It takes none now.
            SecretError: A secret is missing.
            OSError: It cannot be reached.
        """
        raise NotImplementedError

    def open(self, place: Place, name: str) -> None:
        """Take up what an earlier process could not deliver."""
        super().open(place, name)
        self.place = place
        self._folder = place.folder / "undelivered" / name
        self._changed, self._closing = threading.Event(), threading.Event()
        self._thread = None
        try:
            self._make_folders()
            self._take_back_the_day()
            waiting = [*_files(self._folder), *self._of_the_day()]
        except OSError as error:  # of one sink, it is in no other's way, and it is tried again with each alert
            _LOG.error("alerts cannot be kept for %s: %s", self.receiver, error)
            return
        if waiting:
            self._start()

    def deliver(self, alert: Alert) -> None:
        """Keep it on the disk, durably; it is sent by a thread."""
        self._make_folders()
        self._number += 1
        name = f"{micros(alert.raised_at):020d}-{self._number:010d}-{alert.id}-{alert.kind}.json"
        folder = self._folder if self._digest is None else self._day
        write_whole(folder / name, _packed(alert.as_dict()))
        self._start()
        self._changed.set()

    def close(self, wait_seconds: float) -> None:
        """Send what waits, once, as far as that is possible in so many seconds."""
        self._closing.set()
        self._changed.set()
        if self._thread is not None:
            self._thread.join(wait_seconds)

    def _make_folders(self) -> None:
        make_folders(self._folder if self._digest is None else self._day, below=self.place.root)

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name=f"auditlake-{self.name}-post", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        wait = self._first_wait
        while True:
            is_last = self._closing.is_set()
            self._changed.clear()
            try:
                self._put_together()
                reachable = self._send_waiting(everything=is_last)
            except OSError as error:
                reachable = False
                _LOG.error("alerts cannot be posted to %s: %s", self.receiver, error)
            if is_last:
                return
            if reachable:
                wait = self._first_wait
                self._changed.wait(self._until_due())
            else:
                # A new alert is no reason to ask at once a receiver that has just failed.
                self._closing.wait(wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter is no secret
                wait = min(2 * wait, self._longest_wait)

    def _send_waiting(self, *, everything: bool) -> bool:
        """Send what waits, in order, and what waits aside once its time has come; False once the receiver fails."""
        waiting = self._without_hopeless(_files(self._folder))
        self._aside = {path.name: self._aside[path.name] for path in waiting if path.name in self._aside}
        for path in waiting:
            again, waited = self._aside.get(path.name, (0.0, self._first_wait / 2))
            if again > time.monotonic() and not everything:
                continue
            match self._send_file(path):
                case "failed":
                    return False
                case "rejected":
                    waited = min(2 * waited, self._longest_wait)
                    self._aside[path.name] = (time.monotonic() + waited, waited)
        return True

    def _until_due(self) -> float | None:
        """Seconds until something is to be sent that is not yet; None where that is not known to come."""
        due = [max(again - time.monotonic(), 0.0) for again, _ in self._aside.values()]
        return min([*due, *([_LOOK_SECONDS] if self._of_the_day() else [])], default=None)

    def _without_hopeless(self, waiting: list[Path]) -> list[Path]:
        """Drop the alerts that have waited for too long or are too many, and return the others."""
        oldest = micros(self.now() - OLDEST_UNDELIVERED)
        hopeless = [path for path in waiting if path.name[:20] < f"{oldest:020d}"]
        hopeless += waiting[len(hopeless) : max(len(waiting) - MOST_UNDELIVERED, len(hopeless))]
        if hopeless:
            alerts = sum(len(_alerts_in(path)) or 1 for path in hopeless)
            before = given_up(self._folder)
            self._write_given_up(GivenUp(alerts + (before.alerts if before else 0), self.now()))
            for path in hopeless:
                path.unlink(missing_ok=True)
            _LOG.error(
                "%d alerts given up that could not be posted to %s, since they are too old or too many; the last is %s",
                alerts, self.receiver, hopeless[-1].stem,
            )  # fmt: skip
        return waiting[len(hopeless) :]

    def _write_given_up(self, found: GivenUp) -> None:
        document = {"alerts": found.alerts, "last": print_instant(found.last)}
        write_whole(self._folder / _GIVEN_UP, json.dumps(document).encode("ascii"))

    def _send_file(self, path: Path) -> _Outcome:
        """Send a message, and tell what became of it; one that is delivered or gone is off the disk."""
        key = path.stem.split("-", 2)[-1]
        outcome: _Outcome = "failed"
        try:
            document = json.loads(read_file(path, within=path.parent))
        except FileNotFoundError:
            return "taken"
        except (OSError, ValueError, RecursionError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            _LOG.warning("alert %s cannot be read, it waits aside: %s", key, why)
            return "rejected"
        try:
            self.send(key, {name: value for name, value in document.items() if name != _FILES})
        except (FailedError, SecretError, OSError) as error:
            why = str(error) or type(error).__name__
        except RejectedError as error:
            why, outcome = str(error), "rejected"
        except Exception as error:  # noqa: BLE001 - whatever else it is, it is about this message
            why, outcome = f"it cannot be sent: {type(error).__name__}", "rejected"
        else:
            path.unlink()
            sync_folder(self._folder)
            self._aside.pop(path.name, None)
            return "taken"
        what = "it waits aside and is tried again" if outcome == "rejected" else "it is tried again"
        _LOG.warning("alert %s could not be posted to %s, %s: %s", key, self.receiver, what, visible(why))
        return outcome

    # One message a day

    @property
    def _day(self) -> Path:
        """The folder of the alerts that wait for the time of their message."""
        return self._folder / "day"

    def _of_the_day(self) -> list[Path]:
        return [] if self._digest is None or not self._day.is_dir() else _files(self._day)

    def _put_together(self) -> None:
        """Make one message of the alerts that were raised before the last time of day at which one is due.

        Raises:
            OSError: The disk refused; it is tried again.
        """
        if not self._of_the_day():
            return
        made = [path for path in _files(self._folder) if path.stem.endswith("-digest")]
        for path in made:
            self._forget(_alerts_in(path))
        until = self._last_due()
        waiting = self._without_hopeless(self._of_the_day())
        due = [path for path in waiting if path.name[:20] < f"{micros(until):020d}"]
        if not due or max([self._last_made(), *(int(path.name[:20]) for path in made)]) >= micros(until):
            return
        read = {path.name: found for path in due if (found := self._read(path)) is not None}
        if not (names := [*read]):
            return
        message = {
            "id": hashlib.sha256("\n".join(names).encode()).hexdigest()[:16],
            "kind": "digest",
            "since": print_instant(instant(int(names[0][:20]))),
            "until": print_instant(until),
            "alerts": [*read.values()],
            _FILES: names,
        }
        write_whole(self._folder / f"{micros(until):020d}-{0:010d}-{message['id']}-digest.json", _packed(message))
        write_whole(self._made, json.dumps(micros(until)).encode())
        self._forget(names)

    def _read(self, path: Path) -> Any:
        """Return the alert of a file; None if it cannot be read, which is logged once and stops no other one."""
        try:
            return json.loads(read_file(path, within=path.parent))
        except (OSError, ValueError, RecursionError) as error:
            if path.name not in self._damaged:
                self._damaged.add(path.name)
                key = path.stem.split("-", 2)[-1]
                _LOG.warning("alert %s cannot be read, it stays aside: %s", key, type(error).__name__)
            return None

    def _take_back_the_day(self) -> None:
        """Send one by one what waited for the time of a message, where there are no such messages any more."""
        if self._digest is None and self._day.is_dir():
            made = [path for path in _files(self._folder) if path.stem.endswith("-digest")]
            told = {name for path in made for name in _alerts_in(path)}
            for path in _files(self._day):
                if path.name in told:  # a process died before it could remove it
                    path.unlink()
                else:
                    os.replace(path, self._folder / path.name)
            sync_folder(self._folder)

    def _last_due(self) -> datetime:
        """Return the last instant at which a message of the day was due."""
        assert self._digest is not None
        now = self.now()
        today = now.replace(hour=self._digest.hour, minute=self._digest.minute, second=0, microsecond=0)
        return today if today <= now else today - _DAY

    @property
    def _made(self) -> Path:
        """The file that says until when alerts were put together."""
        return self._folder / "digested"

    def _last_made(self) -> int:
        with suppress(OSError, ValueError):
            return int(json.loads(read_file(self._made, within=self._folder)))
        return 0

    def _forget(self, names: list[str]) -> None:
        """Remove alerts of the day that are in a message."""
        there = [self._day / name for name in names if (self._day / name).exists()]
        for path in there:
            path.unlink(missing_ok=True)
        if there:
            sync_folder(self._day)


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The alerts that a receiver never got."""

    alerts: int
    """How many there are, ever."""
    last: datetime
    """When the last one was given up."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a receiver."""

    sink: str
    """What it is called."""
    alerts: int
    """How many alerts wait, those in messages of a day among them."""
    oldest: datetime | None
    """When the oldest of them was raised, or its message put together."""
    given_up: GivenUp | None


def given_up(folder: Path) -> GivenUp | None:
    """Return which alerts of a sink's folder were given up; None if none was."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        said = json.loads(read_file(folder / _GIVEN_UP, within=folder))
        return GivenUp(int(said["alerts"]), parse_instant(said["last"]))
    return None


def waiting(alerts: Path) -> Iterator[Waiting]:
    """Yield what waits for each receiver in the folder ``LAKE/alerts``, and what it never got."""
    with suppress(OSError):
        for folder in sorted(each for each in (alerts / "undelivered").iterdir() if each.is_dir()):
            day = folder / "day"
            there = [*_files(folder), *(_files(day) if day.is_dir() else ())]
            begun = min((int(path.name[:20]) for path in there if path.name[:20].isdecimal()), default=None)
            names = {name for path in there for name in _alerts_in(path) or [path.name]}
            yield Waiting(folder.name, len(names), None if begun is None else instant(begun), given_up(folder))


def _files(folder: Path) -> list[Path]:
    """Return the alerts and messages of a folder, the oldest first."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
    return [folder / name for name in sorted(names) if name.endswith(".json") and name[0] != "."]


def _alerts_in(path: Path) -> list[str]:
    """Return the names of the files whose alerts a message has."""
    try:
        return [name for name in json.loads(read_file(path, within=path.parent))[_FILES] if "/" not in name]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _packed(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode("ascii")
