"""``docs``: the documentation, which ships with the program, in the terminal."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import indent
from typing import ClassVar

import click

from auditlake.cli.completers import items
from auditlake.cli.options import json_option, near
from auditlake.cli.output import machine, table

FOLDER = Path(__file__).resolve().parents[1] / "docs"
"""Where the pages lie, in a checkout and in an installed wheel."""
_LISTED = re.compile(r"^- \[(?P<title>[^]]+)\]\((?P<path>[\w/-]+\.md)\): (?P<summary>.+)$", re.MULTILINE)
_LINK = re.compile(r"\[(?P<text>[^]]+)\]\((?:(?:\.\./|[a-z]+/)*(?P<topic>[\w-]+)\.md)?(?:#[\w-]+)?\)")
_WIDEST = 100


@dataclass(frozen=True, slots=True)
class Topic:
    """One page."""

    name: str
    """The name of its file without ``.md``."""
    title: str
    summary: str
    path: str
    """Relative to :data:`FOLDER`."""


def topics() -> dict[str, Topic]:
    """Return every page by its name, in the order of ``index.md``."""
    text = (FOLDER / "index.md").read_text(encoding="utf-8")
    pages = (Topic(Path(each["path"]).stem, each["title"], each["summary"], each["path"])
             for each in _LISTED.finditer(text))  # fmt: skip
    return {each.name: each for each in pages}


@click.command()
@click.argument("topic", required=False, shell_complete=lambda _context, _param, word: items(
    name for name in topics() if name.startswith(word)
))  # fmt: skip
@json_option("topics; or name, title, summary, path, text")
def docs(topic: str | None) -> None:
    """Show a page of the documentation, or list the pages.

    Without TOPIC, list them. A pipe or a file gets the page as Markdown.
    """
    known = topics()
    if topic is None:
        if not machine({"topics": [asdict(each) for each in known.values()]}):
            table(("topic", "what it says"), ((each.name, each.summary) for each in known.values()))
        return
    if topic not in known:
        close = near(topic.lower(), known) or "; auditlake docs lists them"
        raise click.BadParameter(f"there is no topic {topic[:64]!r}{close}", param_hint="TOPIC")
    text = (FOLDER / known[topic].path).read_text(encoding="utf-8")
    if machine(asdict(known[topic]) | {"text": text}):
        return
    if sys.stdout.isatty():
        click.echo_via_pager(_rendered(text))
    else:
        click.echo(text, nl=False)


def _rendered(text: str) -> str:
    """Render a page for the terminal; a link to another page is the command that shows it."""
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.markdown import CodeBlock, Markdown
    from rich.text import Text
    from rich.theme import Theme

    class Code(CodeBlock):
        """Code as it stands, to be copied: no background, no line broken."""

        def __rich_console__(self, _console: Console, _options: ConsoleOptions) -> RenderResult:
            yield Text(indent(str(self.text).rstrip(), "    "), "markdown.code", no_wrap=True, overflow="ignore")

    class Page(Markdown):
        elements: ClassVar = {**Markdown.elements, "fence": Code, "code_block": Code}

    def command(link: re.Match[str]) -> str:
        return f"{link['text']} (`auditlake docs {link['topic']}`)" if link["topic"] else link["text"]

    width = min(shutil.get_terminal_size().columns, _WIDEST)
    console = Console(width=width, force_terminal=True, theme=Theme({"markdown.code": "cyan"}))
    with console.capture() as captured:
        console.print(Page(_LINK.sub(command, text), hyperlinks=False), crop=False)
    return captured.get()
