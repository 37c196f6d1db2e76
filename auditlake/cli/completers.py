"""What a shell offers when the user presses Tab: names that are read from files alone. A completer never raises."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from auditlake.assets import folder
from auditlake.config import read_config
from auditlake.disk.files import open_file
from auditlake.disk.layout import Layout
from auditlake.events.schema import BUILT_IN_TYPES
from auditlake.storage.lake import folder_of

_NEWEST_REPORTS = 20
_LARGEST = 1 << 22
_FINDING = re.compile(r'"id": ?"([0-9a-f]{16})"')
_STATEMENT = re.compile(r"^-- name: (\w+)", re.MULTILINE)

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def items(words: Iterable[str]) -> list[CompletionItem]:
    """Return the words, each once, as a shell gets them."""
    return [CompletionItem(word) for word in dict.fromkeys(words)]


def completer(names: Callable[[Layout], Iterable[str]]) -> Completer:
    """Make a completer of a function that reads names from a lake; a lake that cannot be read has none."""

    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        with suppress(Exception):
            layout = Layout(folder_of(context.obj))
            return items(name for name in names(layout) if name.startswith(incomplete))
        return []

    return complete


def _stems(folder: Path) -> list[str]:
    return sorted(file.stem for file in folder.glob("*.yaml"))


@completer
def policies(layout: Layout) -> Iterable[str]:
    """Name the lake's policies."""
    return _stems(layout.policies)


@completer
def templates(layout: Layout) -> Iterable[str]:
    """Name the lake's templates."""
    return sorted({file.name.partition(".")[0] for file in layout.templates.glob("*.*.j2")})


@completer
def packs(layout: Layout) -> Iterable[str]:
    """Name the packs of the lake and those that ship with auditlake."""
    return sorted({*_stems(layout.packs), *_stems(Path(__file__).parents[1] / "packs" / "shipped")})


@completer
def judged(layout: Layout) -> Iterable[str]:
    """Name the lake's policies and its packs."""
    return sorted({*_stems(layout.policies), *_stems(layout.packs)})


@completer
def holds(layout: Layout) -> Iterable[str]:
    """Name the lake's holds."""
    return _stems(layout.holds)


@completer
def sources(layout: Layout) -> Iterable[str]:
    """Name the sources that have a mapping: those that every lake knows, and the lake's own."""
    return sorted({*_stems(folder("sql") / "sources"), *_stems(layout.sources)})


@completer
def queries(layout: Layout) -> Iterable[str]:
    """Name the canned queries: the built-in ones and the lake's own."""
    ours = folder("sql") / "queries"
    texts = [_start(file, None) for file in (ours / "auditor.sql", *ours.glob("sources/*.sql"))]
    texts += [_start(file, layout.root) for file in (layout.root / "queries").glob("*.sql")]
    return sorted(name for text in texts for name in _STATEMENT.findall(text))


@completer
def event_types(layout: Layout) -> Iterable[str]:
    """Name the event types that the lake accepts."""
    with suppress(Exception):
        return sorted(read_config(layout).event_types)
    return sorted(BUILT_IN_TYPES)


@completer
def findings(layout: Layout) -> Iterator[str]:
    """Name the findings of the newest kept reports: nothing is evaluated."""
    reports = chain.from_iterable(map(layout.reports.glob, ("compliance_*.json", "framework_*.json")))
    for file in sorted(reports, key=lambda each: each.stat().st_mtime, reverse=True)[:_NEWEST_REPORTS]:
        yield from _FINDING.findall(_start(file, layout.root))


def _start(file: Path, within: Path | None) -> str:
    with suppress(OSError), open_file(file, within=within) as opened:
        return opened.read(_LARGEST).decode("utf-8", "replace")
    return ""


@completer
def schedules(layout: Layout) -> Iterable[str]:
    """Name the schedules of the lake, and the one that need not be declared."""
    from auditlake.packs.schedules import NIGHTLY, lake_schedules

    return sorted({NIGHTLY, *(each.name for each in lake_schedules(layout))})
