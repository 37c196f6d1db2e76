"""Where alerts go: the section ``[alerts]`` of lake.toml, with a table ``[[alerts.sinks]]`` for each place.

No secret stands in lake.toml: a setting that needs one has the secret's name (auditlake/alerts/secrets.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import time
from ipaddress import ip_address
from typing import Any, Literal, get_args

from auditlake.events.durations import Duration, parse_duration

Kind = Literal["webhook", "slack", "teams", "email"]
Tls = Literal["starttls", "tls", "none"]

_SECOND, _WEEK = 1_000_000, 7 * 86_400_000_000
_LATENESS = Duration("10min", 600 * _SECOND)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9a-fA-F:.]{2,45}")
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_CLOCK = re.compile(r"(?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9])")
_PORTS: dict[Tls, int] = {"starttls": 587, "tls": 465, "none": 25}


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """A place that alerts go to: a table ``[[alerts.sinks]]`` of lake.toml."""

    kind: Kind
    name: str | None = None
    """What it is called in messages, and where its alerts wait; its kind if None."""
    digest: time | None = None
    """When the alerts of a day are sent as one message, in UTC; each is sent at once if None."""
    url: str | None = None
    """Of a webhook: where to post."""
    url_from: str | None = None
    """The name of a secret that is the URL."""
    signed_with: str | None = None
    """Of a webhook: the name of the secret that signs each post."""
    host: str | None = None
    """Of mail: the server."""
    port: int | None = None
    """Its port; the usual one if None."""
    tls: Tls = "starttls"
    """How the connection is encrypted."""
    clear_text: bool = False
    """Whether mail may go unencrypted to a host that is not this machine."""
    user: str | None = None
    """Who signs in."""
    password_from: str | None = None
    """The name of the secret that is the password."""
    sender: str | None = None
    """The address that mail comes from."""
    to: tuple[str, ...] = ()
    """The addresses that it goes to."""

    @property
    def used_port(self) -> int:
        """The port of the mail server."""
        return self.port or _PORTS[self.tls]

    @property
    def is_readable_on_the_way(self) -> bool:
        """Whether the network between here and the mail server can read and change what is sent."""
        return self.kind == "email" and self.tls == "none" and not is_this_machine(str(self.host))

    @property
    def called(self) -> str:
        """What it is called in messages."""
        return self.name or self.kind


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Where alerts go, and how late events may be: the section ``[alerts]`` of lake.toml."""

    webhook: str | None = None
    """A URL that each alert is posted to."""
    jsonl: str | None = None
    """A file that each alert is appended to; if relative, in the lake's folder."""
    lateness: Duration = _LATENESS
    """How much later than it happened an event may come and still be judged at once."""
    sinks: tuple[SinkSettings, ...] = ()
    """More places that alerts go to."""

    @property
    def is_sent(self) -> bool:
        """Whether alerts leave this machine."""
        return self.webhook is not None or bool(self.sinks)


def is_this_machine(host: str) -> bool:
    """Return whether a host is this machine by its very name or address, whatever a name server says."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def checked_webhook(url: str) -> str:
    """Return the URL, if alerts can be posted to it.

    Raises:
        ValueError: It is not; the message does not repeat it, since it may be a secret.
    """
    from urllib.parse import urlsplit  # slow to import, and most commands need none

    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or re.search(r"[^\x21-\x7e]", url):
        raise ValueError("webhook: expected a URL that begins with http:// or https:// and has no spaces in it")
    if parts.username is not None:
        raise ValueError("webhook: a name or password in the URL is not sent; use a token in its path or query")
    return url


def parse_lateness(text: str) -> Duration:
    """How late an event may be: a length such as ``10min``, also written ``10m``, from a second to a week.

    Raises:
        ValueError: It is anything else.
    """
    length = parse_duration(re.sub(r"(?<=[0-9])m\Z", "min", text), "lateness")
    if not _SECOND <= length.microseconds <= _WEEK:
        raise ValueError(f"lateness: expected a length from 1s to 7d, got {text!r}")
    return Duration(text, length.microseconds)


def _matching(pattern: re.Pattern[str]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            raise ValueError
        return value

    return read


def _one_of(words: tuple[str, ...]) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if value not in words:
            raise ValueError
        return value

    return read


def _clock(value: Any) -> time:
    if not isinstance(value, str) or (match := _CLOCK.fullmatch(value)) is None:
        raise ValueError
    return time(int(match["hour"]), int(match["minute"]))


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError
    return value


def _port(value: Any) -> int:
    if type(value) is not int or not 0 < value < 1 << 16:
        raise ValueError
    return value


def _addresses(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError
    return tuple(map(_matching(_ADDRESS), value))


_NAME_OF_ONE = "the name of a secret, of small letters, digits, _ and -"
SINK_READERS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "kind": (f"one of {', '.join(get_args(Kind))}", _one_of(get_args(Kind))),
    "name": ("small letters, digits, _ and -, at most 32", _matching(_NAME)),
    "digest": ("a time of day in UTC such as '08:00'", _clock),
    "url": ("an http:// or https:// URL without spaces, name or password", checked_webhook),
    "url_from": (_NAME_OF_ONE, _matching(_NAME)),
    "signed_with": (_NAME_OF_ONE, _matching(_NAME)),
    "host": ("the name or address of a host", _matching(_HOST)),
    "port": ("a number from 1 to 65535", _port),
    "tls": (f"one of {', '.join(get_args(Tls))}", _one_of(get_args(Tls))),
    "clear_text": ("true or false", _flag),
    "user": ("a name", _matching(re.compile(r"[\x21-\x7e]{1,200}"))),
    "password_from": (_NAME_OF_ONE, _matching(_NAME)),
    "sender": ("an address such as audit@example.org", _matching(_ADDRESS)),
    "to": ("a list of addresses such as soc@example.org", _addresses),
}
"""Each key of ``[[alerts.sinks]]``: what is expected, and how it is read."""

_COMMON = {"kind", "name", "digest"}
_KEYS: dict[Kind, set[str]] = {
    "webhook": {"url", "url_from", "signed_with"},
    "slack": {"url_from"},
    "teams": {"url_from"},
    "email": {"host", "port", "tls", "clear_text", "user", "password_from", "sender", "to"},
}


def problem_of(raw: Mapping[str, Any]) -> str:
    """Say what is wrong with a table ``[[alerts.sinks]]`` whose keys were read one by one; empty if nothing is."""
    kind: Kind = raw["kind"]
    if unknown := sorted(raw.keys() - _COMMON - _KEYS[kind]):
        return f"{unknown[0]}: not a setting of {kind}; expected some of {', '.join(sorted(_KEYS[kind]))}"
    if kind == "email":
        if missing := [key for key in ("host", "sender", "to") if key not in raw]:
            return f"{missing[0]}: expected {SINK_READERS[missing[0]][0]}, got nothing"
        if ("user" in raw) != ("password_from" in raw):
            return "user: expected both user and password_from, or neither"
        if "user" in raw and raw.get("tls") == "none":
            return "tls: a password is sent over an encrypted connection only; expected starttls or tls"
        if raw.get("tls") == "none" and not is_this_machine(raw["host"]) and not raw.get("clear_text"):
            what = "mail in clear text can be read and changed on the way to another machine"
            return f"tls: {what}; expected starttls or tls, or clear_text = true beside it"
    elif ("url" in raw) == ("url_from" in raw):
        keys = " or ".join(sorted(_KEYS[kind] & {"url", "url_from"}))
        return f"{keys}: expected {'one of them' if ' or ' in keys else _NAME_OF_ONE}"
    return ""
