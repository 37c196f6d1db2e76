"""What lies beside the ledger and the table: the landing, the journals, and the private key."""

from __future__ import annotations

import base64
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from auditlake.disk.files import is_file, open_file, read_text
from auditlake.disk.layout import Layout
from auditlake.disk.links import strangers
from auditlake.errors import LedgerError
from auditlake.verify.checkpoints import read_key
from auditlake.verify.model import Problem
from auditlake.verify.tree import LedgerEntry

_PRIVATE = "PRIVATE+KEY+"


def check_journals(layout: Layout, entries: Sequence[LedgerEntry]) -> tuple[list[Problem], list[Problem]]:
    """Compare the journals of findings and of runs with what the ledger recorded of them.

    Gives what is wrong, and what is worth knowing.
    """
    recorded: dict[str, dict[int, tuple[str, int]]] = {"findings": {}, "runs": {}}
    for entry in entries:
        details = entry.fields["details"]
        if "journal" in details:
            recorded["findings"].setdefault(_whole(details.get("lines")), (str(details["journal"]), entry.index))
        if isinstance(runs := details.get("runs"), dict) and runs.get("lines"):
            recorded["runs"].setdefault(_whole(runs["lines"]), (str(runs.get("sha256")), entry.index))
    problems: list[Problem] = []
    notices: list[Problem] = []
    for name, path in (("findings", layout.journal), ("runs", layout.run_journal)):
        where = path.relative_to(layout.root).as_posix()
        try:
            lines = _chained(layout, path, recorded[name])
        except OSError as error:
            problems.append(Problem(where, f"cannot be read: {error.strerror or error}"))
            continue
        problems += (Problem(where, what) for what in _changed(lines, recorded[name]))
        if (most := max(recorded[name], default=0)) < lines[0]:
            which = f"line {lines[0]} is" if most + 1 == lines[0] else f"lines {most + 1} to {lines[0]} are"
            next_entry = "the next decision does that" if name == "findings" else "the next commit does that"
            notices.append(Problem(where, f"{which} not recorded yet; {next_entry}"))
    return problems, notices


def _whole(number: object) -> int:
    return number if isinstance(number, int) and not isinstance(number, bool) else -1


def _chained(layout: Layout, path: Path, wanted: Collection[int]) -> tuple[int, dict[int, str]]:
    """Return how many lines a journal has, and the digests of those wanted: each is over the one before."""
    number, digest, digests = 0, bytes(32), {}
    for number, line in enumerate(_lines(layout, path), 1):
        digest = sha256(digest + line).digest()
        if number in wanted:
            digests[number] = digest.hex()
    return number, digests


def _lines(layout: Layout, path: Path) -> Iterator[bytes]:
    """Yield the whole lines of a file; its writer was in the middle of any other."""
    try:
        with open_file(path, within=layout.root) as file:
            yield from (line[:-1] for line in file if line.endswith(b"\n"))
    except FileNotFoundError:
        return


def _changed(lines: tuple[int, dict[int, str]], recorded: Mapping[int, tuple[str, int]]) -> Iterator[str]:
    """Yield how a journal is not what was recorded: its first line of that kind, and its end."""
    number, digests = lines
    changed = (at for at in sorted(recorded) if at in digests and digests[at] != recorded[at][0])
    if (first := next(changed, None)) is not None:
        yield f"was changed among its first {first} lines, as entry {recorded[first][1]} recorded them"
    if lost := [at for at in recorded if not 0 < at <= number]:
        yield f"has {number} lines, and entry {recorded[max(lost)][1]} recorded {max(lost)}"


def check_landing(layout: Layout) -> Iterator[Problem]:
    """Say what has the name of a slot, a segment or a lock in the landing and is a link, a pipe or the like."""
    for path, why in strangers(layout):
        where = path.relative_to(layout.root).as_posix()
        yield Problem(where, f"{why}: live events may be missing, and nothing is read before it is replaced or gone")


def check_private_key(layout: Layout, key: str) -> Iterator[Problem]:
    """Say that the private key, where it can be read here, is not the one of the newest public key.

    Nothing that was recorded is changed by that; nothing more can be recorded.

    Args:
        layout: The lake.
        key: The public key (``NAME+ID+BASE64``) whose private half must sign what is recorded next.
    """
    try:
        setting = tomllib.loads(read_text(layout.config, within=layout.root)).get("ledger", {}).get("key")
        path = (layout.root / setting if setting else layout.ledger / "key").resolve()
    except (OSError, ValueError, AttributeError, TypeError, RuntimeError):
        return  # opening the lake tells about lake.toml
    # A rotation whose writer died leaves the new key beside the old one: the next commit puts it into its place.
    waiting = path.with_name(f"{path.name}.next")
    halves = []
    for each in (path, *((waiting,) if is_file(waiting, within=waiting.parent) else ())):
        try:
            halves.append(_public_half(read_text(each)))
        except (FileNotFoundError, PermissionError):
            continue  # it may be kept from the verifier
        except (OSError, ValueError, LedgerError) as error:
            halves.append(f"cannot be used: {getattr(error, 'strerror', None) or error}")
    if halves and key.strip() not in halves:
        where = path.relative_to(root).as_posix() if path.is_relative_to(root := layout.root.resolve()) else str(path)
        what = (
            halves[0] if halves[0].startswith("cannot") else f"is the private key of {halves[0]}, not of {key.strip()}"
        )
        yield Problem(where, f"{what}: nothing can be recorded before the right one is restored")


def _public_half(secret: str) -> str:
    """Return the public key of a private one.

    Raises:
        ValueError: It is not a private key; or LedgerError, where it is damaged. Neither says what it holds.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    name, _, rest = secret.strip().removeprefix(_PRIVATE).partition("+")
    key_id, _, data = rest.partition("+")
    try:
        seed = base64.b64decode(data, validate=True)
    except ValueError:
        seed = b""
    if not secret.strip().startswith(_PRIVATE) or len(seed) != 33 or seed[0] != 1:
        raise ValueError("it is not a private key")
    public = b"\x01" + Ed25519PrivateKey.from_private_bytes(seed[1:]).public_key().public_bytes_raw()
    number = sha256(name.encode() + b"\n" + public).digest()[:4].hex()
    if number != key_id:
        raise ValueError("it has another id than it says")
    spelled = f"{name}+{number}+{base64.b64encode(public).decode()}"
    read_key(spelled)
    return spelled
