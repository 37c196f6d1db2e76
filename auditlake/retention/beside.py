"""What lies beside the table and may name an erased person: it loses the name, or is said to be left.

Whatever is not searched is said to be left as well.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from auditlake.files import read_file
from auditlake.landing.committed import unflushed
from auditlake.reports.words import count, visible
from auditlake.retention.alertfiles import NewContent, alert_files, renamed
from auditlake.retention.deed import left_everywhere
from auditlake.retention.judge import Judge
from auditlake.retention.leftovers import Leftover, quarantine_files, report_files
from auditlake.retention.planning import Settings
from auditlake.store.delta import Snapshot
from auditlake.store.durable import write_whole
from auditlake.store.history import removal_times
from auditlake.store.layout import Layout
from auditlake.store.pseudonyms import Pseudonyms

NOT_SEARCHED = (
    "Only user_id, ip_address and session_id of the person's own events were replaced, and the places that were named.",
    "The rest of their text, that of other people's events and of questions (source auditlake.self) was not searched.",
    "The log and the ledger stay: names of input files, operators and reasons in them were not searched.",
    "The ledger keeps unsalted hashes of the events as they were: whoever guesses all that one said can confirm it.",
)
"""What every erasure leaves."""
_QUOTES = re.compile(r'["<>]')


def beside(
    layout: Layout, judge: Judge, user_id: str, settings: Settings, live: Snapshot
) -> tuple[list[Leftover], list[str]]:
    """Quarantine files that lose what names the person, and what is left, in sentences."""
    left = [*left_everywhere(layout, settings.grace_seconds, removes=True), *NOT_SEARCHED]
    names = _mentions(user_id)
    found: list[Leftover] = []
    quarantine = [path for path in quarantine_files(layout) if names.search(_text(path))]
    if quarantine and judge.holds:
        many = f"{count(len(quarantine), 'quarantine file')}"
        left.append(f"{many} may name the person and stay, since a legal hold is active: {_listed(quarantine)}.")
    else:
        found = [erased for path in quarantine if (erased := _erase_records(path, names)) is not None]
    if found:
        left.append("Records that cannot become events come back into the quarantine if they are ingested again.")
    if any(names.search(piece.data.decode("utf-8", "replace")) for piece in unflushed(layout)[1]):
        left.append("Events that may name the person were logged while this was done: erase again for those.")
    if reports := [path for path in report_files(layout) if names.search(_text(path))]:
        left.append(
            f"{count(len(reports), 'kept report file')} may name the person and stay: a report is evidence of what was "
            f"found, and goes when all its events are due: {_listed(reports)}."
        )
    if layout.journal.exists() and names.search(_text(layout.journal)):
        left.append("The journal of findings may name the person and stays as it is: it is chained, and is evidence.")
    written = [*sorted(layout.policies.glob("*.yaml")), *sorted(layout.holds.glob("*.yaml")), layout.config]
    if naming := [path for path in written if names.search(_text(path))]:
        left.append(f"{count(len(naming), 'file')} of rules may name the person and stay on record: {_listed(naming)}.")
    return found, left + list(_unsearched(layout, live))


def _unsearched(layout: Layout, live: Snapshot) -> Iterator[str]:
    """Files that nobody reads and that may name anybody."""
    unused = {path.relative_to(layout.events).as_posix(): path for path in layout.events.glob("event_date=*/part-*")}
    for path in (file.path for file in live.files):
        unused.pop(path, None)
    for path in removal_times(layout) if unused else ():
        unused.pop(path, None)
    if unused:
        yield (
            f"{count(len(unused), 'data file')} of writers that died may name anybody, and no version has them: "
            f"auditlake compact removes them after the grace: {_listed(sorted(unused.values()))}."
        )
    if aside := sum(path.is_file() for path in (layout.root / "set-aside").rglob("*")):
        yield f"{count(aside, 'file')} that auditlake doctor put into set-aside may name anybody; remove them by hand."


def addressed(layout: Layout, settings: Settings, values: Collection[str]) -> Iterator[str]:
    """Say which files have an address or a session of the person, if any does: others may have had it as well."""
    spelled = {
        way for each in values
        for way in (json.dumps(each)[1:-1], json.dumps(each, ensure_ascii=False)[1:-1], html.escape(each))
    }  # fmt: skip
    files = [*alert_files(layout, settings.alerts.jsonl), *quarantine_files(layout), *report_files(layout)]
    found = [path for path in (*files, layout.journal) if spelled and path.exists() and _has(path, spelled)]
    if found:
        yield (
            f"{count(len(found), 'file')} beside the table may have addresses or sessions of the person, which stay, "
            f"since others may have had them, too: {_listed(found)}."
        )


def _has(path: Path, spelled: Collection[str]) -> bool:
    """Whether one of the texts is a whole value in JSON, in JSON within JSON, or in a page."""
    text = _text(path)
    pieces = set(_QUOTES.split(text.replace('\\"', '"')))
    return any(each in (text if _QUOTES.search(each) else pieces) for each in spelled)


def alerts(
    layout: Layout, settings: Settings, user_id: str, names: Pseudonyms, *, free: bool, held: bool
) -> tuple[list[NewContent], list[str]]:
    """Files of the alerts to be written anew with the pseudonym, and what is left, in sentences."""
    mentions, jsonl = _mentions(user_id), settings.alerts.jsonl
    found = [path for path in alert_files(layout, jsonl) if mentions.search(_text(path))]
    if found and (held or not free):
        why = "and stay, since a legal hold is active" if held else (
            "and the process that evaluates them goes on writing them; end it and erase again"
        )  # fmt: skip
        return [], [f"{count(len(found), 'file')} of the alerts may name the person, {why}: {_listed(found)}."]
    anew = [renamed(path, mentions, names.of(user_id)) for path in found]
    left = ["Alerts that were sent cannot be called back."] if found or settings.alerts.webhook else []
    if odd := [path for path, new in zip(found, anew, strict=True) if new is None]:
        left.append(f"{count(len(odd), 'file')} of the alerts may name the person and cannot be read: {_listed(odd)}.")
    return [new for new in anew if new is not None], left


def replaced_file(layout: Layout, new: NewContent) -> Leftover:
    """What a certificate says of a file of the alerts."""
    path = new.path.relative_to(layout.root) if new.path.is_relative_to(layout.root) else new.path
    return Leftover(path.as_posix(), "alert", new.size, "where it named the person, it has the pseudonym now")


def _mentions(user_id: str) -> re.Pattern[str]:
    """The name as JSON, HTML or plain text has it, and not as a part of a longer one."""
    plain = {user_id, visible(user_id)}
    plain |= {f"{each[:79]}…" for each in tuple(plain) if len(each) > 80}  # as messages of alerts shorten it
    spelled = {
        way for each in plain
        for way in (each, json.dumps(each)[1:-1], json.dumps(each, ensure_ascii=False)[1:-1], html.escape(each))
    }  # fmt: skip
    # In a quarantine file the record is JSON text in JSON text.
    spelled |= {json.dumps(each, ensure_ascii=False)[1:-1] for each in tuple(spelled)}
    return re.compile(rf"(?<![\w.@-])(?:{'|'.join(map(re.escape, sorted(spelled, key=len, reverse=True)))})(?![\w.@-])")


def _text(path: Path) -> str:
    return read_file(path, within=path.parent).decode("utf-8", "replace")


def _erase_records(path: Path, names: re.Pattern[str]) -> Leftover | None:
    """Write a quarantine file anew without the bytes of the records that name the person.

    The place of each record, its reason and its length stay; the new file has the name of its new content.
    """
    import base64

    changed, lines = 0, []
    for line in read_file(path, within=path.parent).splitlines():
        entry = json.loads(line)
        data = entry["data"]
        if entry["encoding"] == "base64":
            data = base64.b64decode(data).decode("utf-8", "replace")
        if names.search(data) or names.search(str(entry["detail"])):
            entry |= {"encoding": "utf-8", "data": "", "detail": "", "erased": True}
            entry.pop("sha256", None)
            changed += 1
        lines.append(json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
    if not changed:
        return None
    content = b"".join(line + b"\n" for line in lines)
    new = path.with_name(f"records-{hashlib.sha256(content).hexdigest()}.jsonl")
    write_whole(new, content)
    because = f"{count(changed, 'record')} that may name the person lost the bytes; the rest is in {new.name}"
    return Leftover(f"quarantine/{path.name}", "quarantine", path.stat().st_size, because, new.name)


def _listed(paths: Sequence[Path]) -> str:
    shown = ", ".join(f"{path.parent.name}/{path.name}" for path in paths[:20])
    return shown + (f" and {len(paths) - 20:,} more" if len(paths) > 20 else "")
