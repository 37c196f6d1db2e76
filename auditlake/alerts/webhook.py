"""Alerts by HTTP: each is kept on the disk until the receiver has taken it."""

from __future__ import annotations

import http.client
import json
import logging
import os
import random
import threading
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Literal
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from auditlake.alerts.model import Alert, micros
from auditlake.alerts.sinks import Place, Sink
from auditlake.config import checked_webhook
from auditlake.disk.durable import make_folders, sync_folder, write_whole
from auditlake.disk.files import read_file
from auditlake.display.text import visible

MOST_UNDELIVERED = 10_000
"""How many alerts wait for a receiver at most; then the oldest are given up."""
OLDEST_UNDELIVERED = timedelta(days=7)
"""How long an alert waits for a receiver at most."""
_BUSY = frozenset({408, 425, 429})
"""The answers 4xx that are about the moment and not about the alert (RFC 9110, RFC 8470, RFC 6585)."""
_LOG = logging.getLogger("auditlake.alerts.watch")

_Outcome = Literal["taken", "rejected", "failed"]
"""What became of a post: ``rejected`` is this alert's own, after ``failed`` the others would fare no better."""


class Webhook(Sink):
    """Posts each alert as JSON, in order, until the receiver answers with 2xx.

    An alert that the receiver rejects (4xx) waits aside and is posted again later, while those after it are delivered.
    An alert is on the disk in ``LAKE/alerts/undelivered`` before it is posted and until it is taken, so it outlives a
    restart. Redirects are not followed. The body is :meth:`Alert.as_dict`; the header ``Idempotency-Key`` names the
    alert and its kind.

    Args:
        url: Where to; http or https.
        headers: More headers, for instance ``Authorization``.
        timeout_seconds: How long to wait for the receiver.
        first_wait_seconds: How long to wait after a failure; twice as long after each further one, with some jitter.
        longest_wait_seconds: How long at most.

    Raises:
        ValueError: The URL is not one that can be posted to.
    """

    name = "webhook"
    tries_again = True

    def __init__(
        self, url: str, *, headers: Mapping[str, str] | None = None, timeout_seconds: float = 10.0,
        first_wait_seconds: float = 1.0, longest_wait_seconds: float = 300.0,
    ) -> None:  # fmt: skip
        self._url = checked_webhook(url)
        self._headers = {"Content-Type": "application/json", "User-Agent": "auditlake", **(headers or {})}
        self._timeout = timeout_seconds
        self._first_wait, self._longest_wait = first_wait_seconds, longest_wait_seconds
        self._opener = OpenerDirector()
        for handler in (ProxyHandler, HTTPHandler, HTTPSHandler, HTTPErrorProcessor, HTTPDefaultErrorHandler):
            self._opener.add_handler(handler())
        parts = urlsplit(self._url)
        self._shown = f"{parts.scheme}://{parts.hostname}"  # what follows may be a secret
        self._thread: threading.Thread | None = None
        self._number = 0
        self._aside: dict[str, tuple[float, float]] = {}
        """File name of a rejected alert to when it is posted again (monotonic) and how long it waited, in seconds."""

    def open(self, place: Place, name: str) -> None:
        """Take up what an earlier process could not deliver."""
        super().open(place, name)
        self._clock, self._folder = place.clock, place.folder / "undelivered" / name
        self._changed, self._closing = threading.Event(), threading.Event()
        self._thread = None
        make_folders(self._folder, below=place.root)
        if self._undelivered():
            self._start()

    def deliver(self, alert: Alert) -> None:
        """Keep it on the disk, durably; it is posted by a thread."""
        self._number += 1
        name = f"{micros(alert.raised_at):020d}-{self._number:010d}-{alert.id}-{alert.kind}.json"
        write_whole(self._folder / name, json.dumps(alert.as_dict(), separators=(",", ":")).encode("ascii"))
        self._start()
        self._changed.set()

    def close(self, wait_seconds: float) -> None:
        """Post what waits, once, as far as that is possible in so many seconds."""
        self._closing.set()
        self._changed.set()
        if self._thread is not None:
            self._thread.join(wait_seconds)

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name=f"auditlake-{self.name}-post", daemon=True)
            self._thread.start()

    def _undelivered(self) -> list[Path]:
        """Return the alerts that wait, the oldest first."""
        with os.scandir(self._folder) as entries:
            files = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        return [self._folder / name for name in sorted(files) if name.endswith(".json") and name[0] != "."]

    def _run(self) -> None:
        wait = self._first_wait
        while True:
            is_last = self._closing.is_set()
            self._changed.clear()
            try:
                reachable = self._post_waiting(everything=is_last)
            except OSError as error:
                reachable = False
                _LOG.error("alerts cannot be posted to %s: %s", self._shown, error)
            if is_last:
                return
            if reachable:
                wait = self._first_wait
                self._changed.wait(self._until_aside())
            else:
                # A new alert is no reason to ask at once a receiver that has just failed.
                self._closing.wait(wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter is no secret
                wait = min(2 * wait, self._longest_wait)

    def _post_waiting(self, *, everything: bool) -> bool:
        """Post what waits, in order, and what waits aside once its time has come; False once the receiver fails."""
        waiting = self._without_hopeless(self._undelivered())
        self._aside = {path.name: self._aside[path.name] for path in waiting if path.name in self._aside}
        for path in waiting:
            again, waited = self._aside.get(path.name, (0.0, self._first_wait / 2))
            if again > time.monotonic() and not everything:
                continue
            match self._post(path):
                case "failed":
                    return False
                case "rejected":
                    waited = min(2 * waited, self._longest_wait)
                    self._aside[path.name] = (time.monotonic() + waited, waited)
        return True

    def _until_aside(self) -> float | None:
        """Seconds until the next alert that waits aside is due; None where none does."""
        due = min((again for again, _ in self._aside.values()), default=None)
        return None if due is None else max(due - time.monotonic(), 0.0)

    def _without_hopeless(self, waiting: list[Path]) -> list[Path]:
        """Drop the alerts that have waited for too long or are too many, and return the others."""
        oldest = micros(self._clock() - OLDEST_UNDELIVERED)
        hopeless = [path for path in waiting if path.name[:20] < f"{oldest:020d}"]
        hopeless += waiting[len(hopeless) : max(len(waiting) - MOST_UNDELIVERED, len(hopeless))]
        for path in hopeless:
            path.unlink(missing_ok=True)
        if hopeless:
            _LOG.error(
                "%d alerts given up that could not be posted to %s, since they are too old or too many; the last is %s",
                len(hopeless), self._shown, hopeless[-1].stem,
            )  # fmt: skip
        return waiting[len(hopeless) :]

    def _post(self, path: Path) -> _Outcome:
        """Post an alert, and tell what became of it; one that is delivered or gone is off the disk."""
        key = path.stem.split("-", 2)[-1]
        outcome: _Outcome = "failed"
        try:
            body = read_file(path, within=path.parent)
        except FileNotFoundError:
            return "taken"
        except OSError as error:
            _LOG.warning("alert %s cannot be read, it waits aside: %s", key, error.strerror or error)
            return "rejected"
        request = Request(self._url, body, {**self._headers, "Idempotency-Key": key}, method="POST")  # noqa: S310
        try:
            self._opener.open(request, timeout=self._timeout).close()
        except HTTPError as error:
            error.close()
            why = f"it answered {error.code}"
            if 400 <= error.code < 500 and error.code not in _BUSY:
                outcome = "rejected"
        except (OSError, http.client.HTTPException) as error:
            why = str(error) or type(error).__name__
        else:
            path.unlink()
            sync_folder(self._folder)
            self._aside.pop(path.name, None)
            return "taken"
        what = "it waits aside and is tried again" if outcome == "rejected" else "it is tried again"
        _LOG.warning("alert %s could not be posted to %s, %s: %s", key, self._shown, what, visible(why))
        return outcome
