"""Legal holds: files in ``LAKE/holds``, one each, that stay there when the hold has ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditlake.disk.layout import POLICY_ID, Layout
from auditlake.errors import HoldError
from auditlake.events.times import as_instant, parse_bound, parse_end, parse_instant, print_instant
from auditlake.store.pseudonyms import Pseudonyms, pseudonyms
from auditlake.yaml_reader import EXPECTED_ID, Reader, digest_of, is_null, load_folder

if TYPE_CHECKING:
    import yaml

_REQUIRED = ("reason", "owner", "ticket", "created")
_LISTS = ("event_types", "user_ids", "resources")
_OPTIONAL = (*_LISTS, "since", "until", "released", "released_because")
_HINT = "correct every line listed: a hold that cannot be read keeps everything from deletion"


@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold: events that match everything it names are never deleted or changed while it is active."""

    id: str
    """The file's name without ``.yaml``, of the form of a policy's id."""
    reason: str
    owner: str
    """Who answers for it."""
    ticket: str
    created: datetime
    event_types: tuple[str, ...] = ()
    """Only events of these types; of every type if empty."""
    user_ids: tuple[str, ...] = ()
    """Only events of these users; of every user if empty."""
    resources: tuple[str, ...] = ()
    """Only events about these resources; about every resource if empty."""
    since: datetime | None = None
    """Only events not before it."""
    until: datetime | None = None
    """Only events not after it."""
    released: datetime | None = None
    """When it ended; it stays on record."""
    released_because: str | None = None
    """Why it ended."""
    digest: str = ""
    """``sha256:`` and the hex digest of the hold file's bytes."""
    matches: int | None = field(default=None, compare=False)
    """Of a hold that was just added: how many events it matched then. None of one that was read, or if they could not
    be counted."""

    def is_active(self, as_of: datetime) -> bool:
        """Return whether it keeps events from deletion at an instant: from its record until its release.

        A hold made after ``as_of`` counts: it is there to keep what is there.
        """
        return self.released is None or self.released > as_of


def load_hold(text: str | bytes, file: str, hold_id: str, *, event_types: frozenset[str]) -> Hold:
    """Read one hold.

    Args:
        text: The file's content.
        file: What to call the file in messages.
        hold_id: The file's name without ``.yaml``.
        event_types: The event types that this lake knows.

    Raises:
        HoldError: With every mistake of the file, each ``file:line:column: message``, in the file's order.
    """
    reader = _Reader("hold", _REQUIRED, event_types)
    hold = reader.hold(text, hold_id)
    if hold is None:
        raise HoldError(reader.problems(file), hint=_HINT)
    return hold


def load_holds(layout: Layout, event_types: frozenset[str]) -> tuple[Hold, ...]:
    """Return every hold of a lake, released ones among them, by id.

    Raises:
        HoldError: With every mistake of every file.
    """
    return holds_in(layout.holds, event_types)


def holds_in(folder: Path, event_types: frozenset[str]) -> tuple[Hold, ...]:
    """Return every hold of a folder, by id; none where it is not there.

    Raises:
        HoldError: With every mistake of every file.
    """
    if not folder.exists():  # what copies a lake may leave out empty folders
        return ()
    load = partial(load_hold, event_types=event_types)
    return tuple(sorted(load_folder(folder, "hold", load, HoldError, hint=_HINT), key=lambda each: each.id))


def written_hold(hold: Hold, event_types: frozenset[str]) -> tuple[Hold, bytes]:
    """Return a hold as its file will say it, and the file's bytes.

    Raises:
        HoldError: It would not be read back: a blank reason, an event type that the lake does not know.
    """
    data = _dumped(hold)
    return load_hold(data, f"{hold.id}.yaml", hold.id, event_types=event_types), data


def released_hold(hold: Hold, reason: str, now: datetime, event_types: frozenset[str]) -> tuple[Hold, bytes]:
    """Return the same hold, ended now, and its file's bytes.

    Raises:
        HoldError: It has ended already, or there is no reason.
    """
    if hold.released is not None:
        message = f"the hold {hold.id!r} was released at {print_instant(hold.released)}"
        raise HoldError(message, hint="a new hold has a new name")
    return written_hold(replace(hold, released=now, released_because=reason), event_types)


def is_release_of(hold: Hold, digest: str | None) -> bool:
    """Return whether a hold's file is what :func:`released_hold` makes of the file with this digest."""
    if hold.released is None or hold.digest != digest_of(_dumped(hold)):
        return False
    return digest_of(_dumped(replace(hold, released=None, released_because=None))) == digest


def _dumped(hold: Hold) -> bytes:
    """Return YAML whose texts are JSON strings, which YAML reads as they are, whatever they hold."""
    fields = {name: getattr(hold, name) for name in (*_REQUIRED, *_OPTIONAL)}
    lines = [f"{name}: {_spelled(value)}\n" for name, value in fields.items() if value or name in _REQUIRED]
    return ("# A legal hold. End it with `auditlake hold release`; do not remove the file.\n" + "".join(lines)).encode()


def chosen_hold(holds: Sequence[Hold], hold_id: str) -> Hold:
    """Return one hold by its id.

    Raises:
        HoldError: There is none.
    """
    for hold in holds:
        if hold.id == hold_id:
            return hold
    hint = f"there are: {', '.join(hold.id for hold in holds) or 'none'}"
    raise HoldError(f"this lake has no hold {hold_id!r}", hint=hint)


def binding(layout: Layout, holds: Sequence[Hold]) -> tuple[Hold, ...]:
    """Return holds as reports count them; the key of the pseudonyms is read only where one names a person or thing.

    Raises:
        LakeFormatError: It is needed, and has gone or is another one.
    """
    named = any(each.user_ids or each.resources for each in holds)
    return widened(holds, pseudonyms(layout, make=False)) if named else tuple(holds)


def widened(holds: Sequence[Hold], names: Pseudonyms | None) -> tuple[Hold, ...]:
    """Return holds that also match the pseudonyms of the names in them."""
    if names is None:
        return tuple(holds)
    return tuple(
        replace(
            hold,
            user_ids=(*hold.user_ids, *map(names.of, hold.user_ids)),
            resources=(*hold.resources, *map(names.of, hold.resources)),
        )
        for hold in holds
    )


def check_hold_id(hold_id: str) -> None:
    """Refuse what cannot be a hold's file name.

    Raises:
        HoldError: It cannot.
    """
    if not POLICY_ID.fullmatch(hold_id):
        raise HoldError(f"{hold_id!r} cannot be a hold's id: expected {EXPECTED_ID}")


def _spelled(value: Any) -> str:
    if isinstance(value, datetime):
        return print_instant(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_spelled, value))}]"
    return json.dumps(value)  # ASCII: no character that YAML does not allow, but half a surrogate pair


class _Reader(Reader):
    """Reads one hold's file."""

    def hold(self, content: str | bytes, hold_id: str) -> Hold | None:
        """Return the hold; None if there was any mistake."""
        self.check_id(hold_id)
        text = self.decoded(content)
        root = None if text is None else self.tree(text)
        if root is None:
            return None
        fields = self.mapping(root, "a hold", (*_REQUIRED, *_OPTIONAL), _REQUIRED)
        values = {key: self._value(node, key) for key, node in fields.items()}
        self._check_together(fields, values)
        return None if self.mistakes else Hold(id=hold_id, **values, digest=digest_of(content))

    def _value(self, node: yaml.Node, key: str) -> Any:
        readers: dict[str, Callable[[yaml.Node, str], Any]] = {
            "reason": self.text, "released_because": self.text, "owner": self.label, "ticket": self.name,
            "event_types": partial(self.several, read=self.event_type),
            "user_ids": partial(self.several, read=self.name), "resources": partial(self.several, read=self.name),
        }  # fmt: skip
        if key in ("since", "until", "released", "released_because") and is_null(node):
            return None
        return readers.get(key, self._instant)(node, key)

    def _instant(self, node: yaml.Node, key: str) -> Any:
        readers = {"since": lambda text: as_instant(parse_bound(text)), "until": parse_end}
        return self.parsed(node, key, "an instant", readers.get(key, parse_instant))

    def _check_together(self, fields: dict[str, yaml.Node], values: dict[str, Any]) -> None:
        since, until = values.get("since"), values.get("until")
        if since is not None and until is not None and since > until:
            self.wrong(fields["until"], "until: expected an instant not before since")
        for key in _LISTS:
            if key in fields and not values[key] and not self.mistakes:
                self.wrong(fields[key], f"{key}: expected at least one, got an empty list; leave the key out for any")
        if (values.get("released") is None) != (values.get("released_because") is None) and not self.mistakes:
            at = fields.get("released", fields.get("released_because"))
            self.wrong(at, "released and released_because: expected both or neither")
