"""What deletions, erasures and remaps took, and what they kept so that the rest still verifies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from hashlib import sha256
from pathlib import Path

from auditlake.disk.files import read_file
from auditlake.disk.layout import Layout
from auditlake.ledger.leaves import Key
from auditlake.ledger.merkle import HASH_SIZE
from auditlake.verify.kept_hashes import KeptHashes, parse_kept
from auditlake.verify.model import Problem, Verdict
from auditlake.verify.tree import LedgerEntry

_CHANGING = frozenset({"erase", "remap"})
"""The kinds of entries that change events, and remove none."""
_RECORD = 8 + 2 * HASH_SIZE
_GONE = bytes(HASH_SIZE)
_FOREMOST: tuple[Verdict, ...] = ("deleted", "erased", "remapped")
"""What is said of a part of which several are true."""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What one entry took of a part."""

    entry: LedgerEntry
    rows: int | None
    """How many events; None if all that were left."""
    gone: bool
    """Whether events went; otherwise all of them are there, with other content."""


@dataclass(slots=True)
class Taking:
    """What was taken of one part."""

    withdrawals: list[Withdrawal] = field(default_factory=list)
    """In the order in which it happened."""
    whole: bool = False
    """Whether nothing of the part is left."""
    replaced: dict[int, tuple[bytes, bytes | None]] = field(default_factory=dict)
    """By seq: the leaf that the event was appended with, and the one that it has now; None if it went. Earlier versions
    kept that."""
    kept: KeptHashes | None = None
    """What is kept of it since."""

    @property
    def changing(self) -> list[str]:
        """The kinds of the entries that may have changed events of it, which are still there."""
        return sorted(str(each.entry.fields["kind"]) for each in self.withdrawals if each.rows is not None)

    def has_changed(self, seq: int, leaf: bytes) -> bool:
        """Return whether an event was changed that has this number, and this leaf now."""
        changed = self.kept.changed.values() if self.kept is not None else ()
        return seq in self.replaced or any(present == leaf for _, present in changed)


def read_takings(layout: Layout, entries: Sequence[LedgerEntry]) -> tuple[dict[Key, Taking], list[Problem]]:
    """Return what entries took, by batch, day and class, and what of it cannot be read.

    The last file that is kept of a part says all, unless an earlier version wrote it; none is needed of a part of which
    nothing is left.
    """
    takings: dict[Key, Taking] = {}
    files: dict[Key, list[tuple[LedgerEntry, str, bool]]] = defaultdict(list)
    sizes = {part.key: part.rows for entry in entries for part in entry.parts}
    for entry in entries:
        for batch, day, rows, kept, *more in entry.fields["taken"]:
            key = (int(batch), date.fromisoformat(day), more[0] if more else "")
            taking = takings.setdefault(key, Taking())
            taking.whole = taking.whole or not kept
            gone = more[1] > 0 if more else entry.fields["kind"] not in _CHANGING
            if more:
                files[key] = []
            files[key] += [(entry, str(kept), not more)] if kept else []
            taking.withdrawals.append(Withdrawal(entry, int(rows) if kept else None, gone))
    problems = [
        problem for key, some in files.items() for problem in _read_files(layout, takings[key], some, sizes.get(key, 0))
    ]
    return takings, problems


def _read_files(
    layout: Layout, taking: Taking, files: Sequence[tuple[LedgerEntry, str, bool]], size: int
) -> Iterator[Problem]:
    """Read what is kept of a part, and yield what is wrong with it."""
    for entry, digest, is_old in files:
        try:
            data = _read(layout, digest)
            if is_old:
                went = _merge(taking, data)
                _correct(taking, entry, gone=went)
            else:
                taking.kept = parse_kept(data, size)
        except (OSError, ValueError) as error:
            yield Problem(f"ledger/kept/{digest}", f"cannot be read, entry {entry.index} needs it: {error}")


def _correct(taking: Taking, entry: LedgerEntry, *, gone: bool) -> None:
    """Say whether events went with an entry of an earlier version, which its file tells."""
    taking.withdrawals = [
        replace(each, gone=gone) if each.entry is entry and each.rows is not None else each
        for each in taking.withdrawals
    ]


def _read(layout: Layout, digest: str) -> bytes:
    data = read_file(layout.ledger / "kept" / Path(digest).name, within=layout.root)
    if sha256(data).hexdigest() != digest:
        raise ValueError("it is damaged")
    return data


def _merge(taking: Taking, data: bytes) -> bool:
    """Merge what an earlier version kept: the first is what was appended, the last is what is there now. Return whether
    events went.
    """
    went = False
    if len(data) % _RECORD:
        raise ValueError("it is damaged")
    for at in range(0, len(data), _RECORD):
        seq = int.from_bytes(data[at : at + 8], "big", signed=True)
        original, present = data[at + 8 : at + 8 + HASH_SIZE], data[at + 8 + HASH_SIZE : at + _RECORD]
        first = taking.replaced.get(seq, (original, None))[0]
        taking.replaced[seq] = (first, None if present == _GONE else present)
        went = went or present == _GONE
    return went


def told(taking: Taking) -> tuple[Verdict, str]:
    """Return the verdict on a part of which something was taken rightly, and each time under whose rule."""
    verdicts = {_verdict(withdrawal) for withdrawal in taking.withdrawals}
    verdict = next(each for each in _FOREMOST if each in verdicts)
    return verdict, "; ".join(map(_told, taking.withdrawals))


def _verdict(withdrawal: Withdrawal) -> Verdict:
    if withdrawal.gone:
        return "deleted"
    return "remapped" if withdrawal.entry.fields["kind"] == "remap" else "erased"


def _told(withdrawal: Withdrawal) -> str:
    fields, details = withdrawal.entry.fields, withdrawal.entry.fields["details"]
    policies = details.get("policies")
    under = f" under policy {', '.join(map(str, policies))}" if isinstance(policies, list) and policies else ""
    certificate = f" (certificate {details['certificate']})" if details.get("certificate") else ""
    rows = "" if withdrawal.rows is None else f", {withdrawal.rows} row{'' if withdrawal.rows == 1 else 's'}"
    return f"{_verdict(withdrawal)}{under} on {str(fields['at'])[:10]}{rows}{certificate}"


def quarantined(entries: Sequence[LedgerEntry], named: Mapping[str, int]) -> dict[str, int]:
    """Return the quarantine files that are to be there, with the version that put them there.

    Args:
        entries: The ledger: deletions and erasures say which files went, and what took their places.
        named: The files that commits of the table name, with the newest version that does.
    """
    present = dict(named)
    for entry in entries:
        went, version = entry.fields["details"].get("quarantine"), entry.fields["version"]
        for name, new in went.items() if isinstance(went, Mapping) and isinstance(version, int) else ():
            if present.get(name, version) <= version:
                present.pop(name, None)
            if new:
                present[str(new)] = max(version, present.get(str(new), version))
    return present
