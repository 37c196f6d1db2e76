"""Files outside of the table that may name an erased person: they lose the name, or are listed as left.

What is not searched is listed as left as well.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from auditlake.alerts.files import NewContent, alert_files, renamed
from auditlake.context import LakeContext
from auditlake.disk.files import open_file, read_file
from auditlake.disk.layout import FINDINGS_FILE, FRAMEWORK_FILE, REPORT_FILE, Layout
from auditlake.display.markdown import marked
from auditlake.display.text import count, visible
from auditlake.events.json_tokens import spelled
from auditlake.landing.positions import unflushed
from auditlake.reports.listing import texts_of
from auditlake.retention.rules import RetentionRules
from auditlake.retention.side_files import Leftover, left_everywhere, quarantine_files, report_files
from auditlake.storage.lake import data_files
from auditlake.store.deltalog import removal_times
from auditlake.store.model import Snapshot
from auditlake.store.pseudonyms import Pseudonyms

NOT_SEARCHED = (
    (
        "Of the person's own events user_id, ip_address and session_id were replaced, what stands at the places of "
        "personal data, and the same values wherever they are the whole of a text."
    ),
    (
        "What is left of them inside of longer texts, in keys, in other people's events and in questions (source "
        "auditlake.self) is counted, and stays."
    ),
    "The log and the ledger stay: names of input files, operators and reasons in them were not searched.",
    (
        "The ledger keeps unsalted hashes of the events as they were, the log those of the inputs, and findings and "
        "alerts have ids that are hashes: a guess of all that one was made from can be confirmed."
    ),
)
"""What every erasure leaves."""
_QUOTES = re.compile(r'["<>]')


@dataclass
class Mentions:
    """What was found outside of the table."""

    leftovers: list[Leftover] = field(default_factory=list)
    """Files that lose what names the person."""
    quarantine: list[NewContent] = field(default_factory=list)
    """The quarantine files that take the place of those: to be written once the key of the pseudonyms is kept."""
    left: list[str] = field(default_factory=list)
    """What is left, in sentences."""
    files: set[Path] = field(default_factory=set)
    """Files that may name the person and stay."""

    def stay(self, paths: Sequence[Path], what: str, why: str) -> None:
        """Note that some files stay: how many of ``what``, why (with ``{stay}`` as their verb) and which."""
        if paths:
            self.files.update(paths)
            reason = why.format(stay="stays" if len(paths) == 1 else "stay")
            self.left.append(f"{count(len(paths), what)} {reason}: {_listed(paths)}.")


def find_mentions(context: LakeContext, rules: RetentionRules, words: Sequence[str], live: Snapshot) -> Mentions:
    """Erase the person from quarantine files, and list what is left.

    Args:
        context: The lake.
        rules: The rules of retention.
        words: The person's ``user_id``, and what else names them: that counts where it is the whole of a text.
        live: The newest snapshot.
    """
    layout = context.layout
    mentions = Mentions(left=[*left_everywhere(layout, context.config.grace_seconds, removes=True), *NOT_SEARCHED])
    names = _pattern(*words)
    quarantine = _naming(names, quarantine_files(layout))
    if rules.holds:
        mentions.stay(quarantine, "quarantine file", "may name the person and {stay}, since a legal hold is active")
    else:
        for erased in filter(None, (_erase_records(path, names, rules.names) for path in quarantine)):
            mentions.leftovers.append(erased[0])
            mentions.quarantine.append(erased[1])
    if any(names.search(piece.data.decode("utf-8", "replace")) for piece in unflushed(layout)[1]):
        mentions.left.append("Events that may name the person were logged while this was done: erase again for those.")
    mentions.stay(
        _naming(names, report_files(layout)), "kept report file",
        "may name the person and {stay}: a report is evidence of what was found, and goes when all its events are due",
    )  # fmt: skip
    for journal, what in ((layout.journal, "findings"), (layout.run_journal, "runs")):
        if journal.exists() and _naming(names, [journal]):
            mentions.files.add(journal)
            mentions.left.append(
                f"The journal of {what} may name the person and stays as it is: it is chained, and is evidence."
            )
    written = [*sorted(layout.policies.glob("*.yaml")), *sorted(layout.holds.glob("*.yaml")), layout.config]
    written += [layout.frameworks, *sorted(layout.packs.rglob("*.yaml"))]
    written += sorted(layout.templates.glob("*.j2"))
    written += [layout.root / "auditor.yaml", *sorted((layout.root / "queries").glob("*.sql"))]
    written += sorted(
        path for name in ("policies", "sources", "packs", "holds") for path in (layout.ledger / name).glob("*")
    )
    named = _naming(names, (path for path in written if path.exists()))
    mentions.stay(named, "file", "of rules may name the person and {stay} on record")
    mentions.left.extend(_unsearched(layout, live))
    return mentions


def _unsearched(layout: Layout, live: Snapshot) -> Iterator[str]:
    """Yield sentences on files that no verb reads and that may name any person."""
    unused = {path.relative_to(layout.events).as_posix(): path for path in layout.events.glob("event_date=*/part-*")}
    unused |= {name.removeprefix("events/"): layout.root / name for name in data_files(layout)}
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


def shared_traces(context: LakeContext, values: Collection[str]) -> Iterator[str]:
    """Yield a sentence on the files that have an address or a session of the person, which others may share."""
    layout = context.layout
    ways = _spelled(values)
    files = [*alert_files(layout, context.config.alerts.jsonl), *quarantine_files(layout), *report_files(layout)]
    having = [
        path for path in (*files, layout.journal, layout.run_journal) if ways and path.exists() and _has(path, ways)
    ]
    if having:
        yield (
            f"{count(len(having), 'file')} beside the table may have addresses or sessions of the person, which stay, "
            f"since others may have had them, too: {_listed(having)}."
        )


def _has(path: Path, ways: Collection[str]) -> bool:
    """Return whether one of the texts is a whole value in JSON, in JSON within JSON, or in a page.

    Other forms of reports have messages rather than values: there it may stand anywhere.
    """
    form = REPORT_FILE.match(path.name) or FRAMEWORK_FILE.match(path.name)
    if form and form["form"] not in {".json", ".html"}:
        return any(text is None or any(each in text for each in ways) for text in _texts(path))
    for text in filter(None, _texts(path)):
        pieces = set(_QUOTES.split(text.replace('\\"', '"')))
        if any(each in (text if _QUOTES.search(each) else pieces) for each in ways):
            return True
    return False


def rewritten_alerts(
    context: LakeContext, words: Sequence[str], names: Pseudonyms, mentions: Mentions, *, free: bool, held: bool
) -> list[NewContent]:
    """Return the files of the alerts with the pseudonym for the name; add what is left to ``mentions``.

    Args:
        context, words, names, mentions: The lake, what names the person, the pseudonyms, and what was found so far.
        free: Whether no process evaluates the alerts.
        held: Whether a legal hold is active.
    """
    pattern, alerts = _pattern(*words), context.config.alerts
    files = _naming(pattern, alert_files(context.layout, alerts.jsonl))
    if files and (held or not free):
        why = "and {stay}, since a legal hold is active" if held else (
            "and the process that evaluates them goes on writing them; end it and erase again"
        )  # fmt: skip
        mentions.stay(files, "file", f"of the alerts may name the person, {why}")
        return []

    def rename(text: str) -> str:
        return names.of(text) if text in words else pattern.sub(names.of(words[0]), text)

    anew = [renamed(path, pattern, rename) for path in files]
    if files or alerts.is_sent:
        mentions.left.append("Alerts that were sent cannot be called back.")
    odd = [path for path, new in zip(files, anew, strict=True) if new is None]
    mentions.stay(odd, "file", "of the alerts may name the person and cannot be read")
    return [new for new in anew if new is not None]


def replaced_file(layout: Layout, new: NewContent) -> Leftover:
    """Return what a certificate says of a file of the alerts."""
    path = new.path.relative_to(layout.root) if new.path.is_relative_to(layout.root) else new.path
    return Leftover(path.as_posix(), "alert", new.size, "where it named the person, it has the pseudonym now")


def _pattern(user_id: str, *others: str) -> re.Pattern[str]:
    """Return a pattern for the name as any form of a report has it, and for the others as a whole text.

    The name does not match as a part of a longer one.
    """
    plain = {user_id, visible(user_id)}
    plain |= {f"{each[:79]}…" for each in tuple(plain) if len(each) > 80}  # as messages of alerts shorten it
    mention = rf"(?<![\w.@-])(?:{_ways(plain)})(?![\w.@-])"
    whole = rf"""(?<=["'>;])(?:{_ways(others)})(?=\\?["'<&])"""
    return re.compile(f"{mention}|{whole}" if others else mention)


def _ways(texts: Collection[str]) -> str:
    """Return a pattern for every way to write these; in a quarantine file a record is JSON text in JSON text."""
    ways = _spelled(texts)
    ways |= {json.dumps(each, ensure_ascii=False)[1:-1] for each in tuple(ways)}
    return "|".join(map(re.escape, sorted(ways, key=lambda each: (-len(each), each))))


def _spelled(texts: Collection[str]) -> set[str]:
    """Return every way of JSON, HTML, XML, Markdown and CSV to write these."""
    ways: set[str] = set()
    for each in texts:
        xml = html.escape(each, quote=False)
        ways |= {*spelled(each), html.escape(each), xml, xml.replace('"', "&quot;"), marked(each)}
        ways.add(each.replace('"', '""'))
    return ways


def _naming(names: re.Pattern[str], paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if any(text is None or names.search(text) for text in _texts(path))]


def _texts(path: Path) -> Iterator[str | None]:
    """Yield the text of a file, in one piece or several; None for what cannot be read: a list of findings, a PDF."""
    if not FINDINGS_FILE.match(path.name):
        data = read_file(path, within=path.parent)
        yield None if data.startswith(b"%PDF-") else data.decode("utf-8", "replace")
        return
    try:
        with open_file(path, within=path.parent) as file:
            yield from texts_of(file)
    except (OSError, ValueError):
        yield None


def _erase_records(
    path: Path, names: re.Pattern[str], pseudonyms: Pseudonyms | None
) -> tuple[Leftover, NewContent] | None:
    """Make a quarantine file without the bytes of the records that name the person.

    The place of each record, its reason and its length stay, and a keyed digest by which an ingest knows it. The new
    file has the name of its new content.
    """
    import base64

    changed, lines = 0, []
    for line in read_file(path, within=path.parent).splitlines():
        entry = json.loads(line)
        raw = base64.b64decode(entry["data"]) if entry["encoding"] == "base64" else entry["data"].encode()
        if names.search(raw.decode("utf-8", "replace")) or names.search(str(entry["detail"])):
            digest = entry.get("sha256") or hashlib.sha256(raw).hexdigest()
            entry |= {"encoding": "utf-8", "data": "", "detail": "", "erased": True}
            if raw and pseudonyms is not None:
                entry["keyed"] = pseudonyms.of_record(digest)
            for part in ("sha256", "field", "value"):
                entry.pop(part, None)
            changed += 1
        lines.append(json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
    if not changed:
        return None
    content = b"".join(line + b"\n" for line in lines)
    new = path.with_name(f"records-{hashlib.sha256(content).hexdigest()}.jsonl")
    because = f"{count(changed, 'record')} that may name the person lost the bytes; the rest is in {new.name}"
    size = path.stat().st_size
    left = Leftover(f"quarantine/{path.name}", "quarantine", size, because, new.name)
    return left, NewContent(new, size, content)


def _listed(paths: Sequence[Path]) -> str:
    names = ", ".join(f"{path.parent.name}/{path.name}" for path in paths[:20])
    return names + (f" and {len(paths) - 20:,} more" if len(paths) > 20 else "")
