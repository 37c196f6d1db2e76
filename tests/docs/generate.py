"""The pages of the documentation that follow from the code: the command line, the Python API, SQL views and queries.

``python -m tests.docs.generate`` writes them; ``tests/test_docs.py`` compares them with what this gives.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import is_dataclass
from functools import cache, cached_property, partial
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
from typing import Any, is_typeddict

import click
import duckdb
from click.testing import CliRunner

import auditlake
from auditlake import audited, errors, handler, notebook
from auditlake.cli import VERBS, cli
from auditlake.disk.layout import Layout
from auditlake.engine.statements import statements
from auditlake.events.schema import METADATA_KEYS
from auditlake.packs.schema import pack_schema
from auditlake.policies.loader import policy_schema
from auditlake.sandbox.canned import questions
from auditlake.sources.catalog import built_in

FOLDER = Path(auditlake.__file__).parent / "docs"
_WIDE = 100
_DOORS = (handler.AuditHandler, audited.audited)
_MADE = (auditlake.AuditLake, auditlake.AuditEvent, handler.AuditHandler)
"""The classes that callers make themselves; what others take is not the caller's business."""
_NOTICE = "<!-- Made from the code by `make docs`. Do not edit. -->"


def main() -> None:
    """Write every page, and the schemas of policy files and packs for editors."""
    for name, make in PAGES.items():
        (FOLDER / name).write_text(make(), encoding="utf-8")
    for name, make_schema in (("policies/policy", policy_schema), ("packs/pack", pack_schema)):
        schema = json.dumps(make_schema(), indent=2, ensure_ascii=False)
        (FOLDER.parent / f"{name}.schema.json").write_text(f"{schema}\n", encoding="utf-8")


# The command line


def cli_page() -> str:
    """Every command with its arguments and options, as `--help` has them."""
    parts = [
        _NOTICE, "# Command line",
        "`auditlake COMMAND --help` shows the same for one command. The options of the first table hold for every "
        "command, and stand before it or after it. [Exit codes](exit-codes.md) says how a command ends.",
    ]  # fmt: skip
    sections = {verb.name: verb.section for verb in VERBS}
    section = ""
    for name, command in _commands(cli, "auditlake"):
        context = click.Context(command, info_name=name, **cli.context_settings)
        if (now := sections.get(name.partition(" ")[2].partition(" ")[0], section)) != section:
            parts.append(f"## {(section := now)}")
        parts += [
            f"{'###' if section else '##'} {name}",
            f"```text\n{' '.join([name, *command.collect_usage_pieces(context)])}\n```",
        ]
        parts += map(
            _paragraph, "\n\n".join(map(inspect.cleandoc, (command.help or "", command.epilog or ""))).split("\n\n")
        )
        parts += _table(("option", "meaning"), _options(command, context))
        if isinstance(command, click.Group) and name != "auditlake":
            below = ", ".join(f"[{name} {each}](#{slug(f'{name} {each}')})" for each in command.list_commands(context))
            parts.append(f"Commands: {below}.")
    return _page(parts)


def _commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    if command.hidden:
        return
    yield name, command
    if isinstance(command, click.Group):
        for each in command.list_commands(click.Context(command)):
            below = command.get_command(click.Context(command), each)
            assert below is not None
            yield from _commands(below, f"{name} {each}")


def _paragraph(text: str) -> str:
    """A paragraph of a help text: code where click is told to leave its lines alone."""
    return f"```text\n{text.replace(chr(8), '').strip()}\n```" if "\b" in text else text.replace("\n", " ")


def _options(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    """The options of a command with their help; those that every command has stand in the first table alone."""
    common = {"--help"} | ({name for each in cli.params for name in each.opts} if command is not cli else set())
    for each in command.get_params(context):
        record = each.get_help_record(context)
        if record is not None and record[1] and not common & {*each.opts}:
            names, text = record
            yield f"`{names}`", text.replace("  [", " [").replace("*", r"\*")


# SQL


def sql_page() -> str:
    """Every view with its columns, and every canned query with its parameters."""
    described = statements("sandbox/dictionary.sql")["dictionary"].text
    with duckdb.connect() as connection:
        rows = connection.sql(described).fetchall()
    parts = [
        _NOTICE, "# SQL views and canned queries",
        "`auditlake sql`, `auditlake shell`, `auditlake query` and `lake.audit_session` read these views of one "
        "snapshot. `lake.sql` has the view `events` alone. The view `dictionary` holds the tables below, so "
        '`auditlake sql "from dictionary"` shows them without this page.',
        "## Views",
    ]  # fmt: skip
    for view in dict.fromkeys(row[0] for row in rows):
        columns = ((f"`{name}`", f"`{kind}`", _escaped(what)) for of, name, kind, what in rows if of == view)
        parts += [f"### {view}", *_table(("column", "type", "what it is"), columns)]
    parts += [
        "## Canned queries",
        "`auditlake query run NAME --param K=V` runs one, and `auditlake query show NAME` prints its SQL. A time may "
        "be an instant, a day, `now`, or a length before now such as `-30d`. A lake's own queries lie in "
        "`LAKE/queries/*.sql`, in the same form; one of the same name replaces the built-in query.",
    ]  # fmt: skip
    queries = _json("query", "list")["queries"]
    for query in queries:
        if query["source"]:
            continue
        parameters = (
            (f"`{each['name']}`", each["kind"], f"`{each['default']}`" if each["default"] else "required", each["what"])
            for each in query["parameters"]
        )
        parts += [f"### {query['name']}", query["what"], *_table(("parameter", "kind", "default", "what"), parameters)]
    of_sources = ((f"`{each['name']}`", each["what"]) for each in queries if each["source"])
    parts += [
        "### About one source",
        "`auditlake query list --source NAME` lists those of one; the page of each source shows their SQL.",
        *_table(("query", "what it answers"), of_sources),
    ]
    return _page(parts)


# The pages of the sources


def source_page(name: str) -> str:
    """The page of a source as it is, its questions made from their file."""
    text = (FOLDER / "sources" / f"{name}.md").read_text(encoding="utf-8")
    parts = ["## Questions", "`auditlake query run NAME` asks one."]
    for each in questions(Layout(Path("/nowhere"))).values():
        if each.source == name:
            sql = "\n".join(line for line in each.sql.splitlines() if not line.startswith("-- "))
            parts += [f"{each.what.removesuffix('.')} (`{each.name}`):", f"```sql\n{sql}\n```"]
    made = "\n\n".join([*parts, ""])
    return re.sub(r"^## Questions\n.*?(?=^## )", lambda _: made, text, count=1, flags=re.MULTILINE | re.DOTALL)


def _json(*arguments: str) -> Any:
    """What a command prints with ``--json`` on a new lake."""
    with tempfile.TemporaryDirectory() as folder:
        lake = auditlake.create(f"{folder}/lake").layout.root
        done = CliRunner().invoke(cli, ["--lake", str(lake), *arguments, "--json"], standalone_mode=False)
    return json.loads(done.stdout)


# Python


def python_page() -> str:
    """Every public class and function, from its docstring."""
    parts = [
        _NOTICE, "# Python API",
        "`auditlake.open(path)` and `auditlake.create(path)` give an `AuditLake`. Everything else follows from it. "
        "A name that stands on no page is not public and may change.",
        "## Opening a lake",
    ]  # fmt: skip
    for function in (auditlake.create, auditlake.open):
        parts += _function(function, "auditlake.")
    parts += _class(auditlake.AuditLake, "lake")
    with tempfile.TemporaryDirectory() as folder:
        lake = auditlake.create(f"{folder}/lake")
        names = [*(name for name in vars(lake) if name[0] != "_"), *_properties(auditlake.AuditLake)]
        facets = {name: type(getattr(lake, name)) for name in names}
    facets = {name: each for name, each in facets.items() if not is_dataclass(each) and _methods(each)}
    for name, each in facets.items():
        parts += _class(each, f"lake.{name}")
    shown: list[type] = [auditlake.AuditLake, *facets.values()]
    parts += _class(auditlake.AuditEvent, "event")
    for door in _DOORS:
        parts += _class(door, "handler") if isinstance(door, type) else ["## audited", *_function(door, "")]
    parts += ["## Notebooks", _markdown(inspect.getdoc(notebook) or "")]
    for each in _returned(shown):
        parts += _class(each, each.__name__)
    parts += ["## Errors", "```text\n" + (errors.__doc__ or "").split("::\n\n")[1].split("\n\n``")[0] + "\n```",
              _markdown((errors.__doc__ or "").split("\n\n")[-1])]  # fmt: skip
    return _page(parts)


def _class(kind: type, called: str) -> list[str]:
    """A class: what it is, its fields, its methods."""
    title = called if "." in called else kind.__name__
    told = inspect.getdoc(kind) or ""
    if kind not in _MADE:
        told = re.sub(r"\n\nArgs:\n(?:    .*(?:\n|\Z)|\n(?=    ))*", "\n\n", told)
    parts = [f"## {title}", _markdown(told)]
    fields = [(f"`{name}`", _inline(text)) for name, text in _fields(kind).items()]
    parts += _table(("attribute", "what it is"), fields)
    prefix = called if called.startswith("lake") else called[0].lower() + called[1:]
    for method in _methods(kind):
        parts += _function(method, f"{prefix}.")
    return parts


def _methods(kind: type) -> list[Callable[..., Any]]:
    """The public methods, in the order in which they are written, its own before those it inherits."""
    found: dict[str, Callable[..., Any]] = {}
    for base in kind.__mro__:
        if base.__module__.startswith("auditlake"):
            for name, value in vars(base).items():
                if inspect.isfunction(value) and not name.startswith("_") and value.__doc__:
                    found.setdefault(name, value)
    return list(found.values())


def _properties(kind: type) -> list[str]:
    """The public properties, those that are computed once among them."""
    return [
        name
        for base in kind.__mro__
        for name, value in vars(base).items()
        if isinstance(value, property | cached_property) and not name.startswith("_")
    ]


def _fields(kind: type) -> dict[str, str]:
    """Public attributes, each with the text below it, and properties with their docstrings."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if not base.__module__.startswith("auditlake"):
            continue
        where = sys.modules[base.__module__] if is_typeddict(base) else base  # which does not say what it inherits from
        texts = dict(_texts(ast.parse(dedent(inspect.getsource(where)))))
        names = inspect.get_annotations(base) if is_dataclass(base) or is_typeddict(base) else texts
        found |= {name: texts.get(name) or found.get(name, "") for name in names}
        found |= {
            name: value.__doc__ or ""
            for name, value in vars(base).items()
            if isinstance(value, property | cached_property)
        }
    return {name: inspect.cleandoc(text) for name, text in found.items() if not name.startswith("_")}


def _texts(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """The names that something is assigned to, each with the text in the next line."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for before, after in pairwise(body) if isinstance(body, list) else ():
            if isinstance(before, ast.AnnAssign | ast.Assign) and isinstance(after, ast.Expr):
                target = before.target if isinstance(before, ast.AnnAssign) else before.targets[0]
                name = getattr(target, "attr", None) or getattr(target, "id", "")
                if isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
                    yield name, after.value.value


def _function(function: Callable[..., Any], prefix: str) -> list[str]:
    """A function or a method: its signature, then what it says of itself."""
    name = f"{prefix}{function.__name__}"
    return [f"### {name}", f"```python\n{_signature(function, name)}\n```", _markdown(inspect.getdoc(function) or "")]


def _signature(function: Callable[..., Any], name: str) -> str:
    signature = inspect.signature(function)
    parameters, keywords = [], False
    for each in signature.parameters.values():
        if each.name == "self":
            continue
        if each.kind is each.VAR_POSITIONAL:
            keywords = True
        if each.kind is each.KEYWORD_ONLY and not keywords:
            parameters.append("*")
            keywords = True
        stars = {each.VAR_POSITIONAL: "*", each.VAR_KEYWORD: "**"}.get(each.kind, "")
        note = "" if each.annotation is each.empty else f": {_spelled(each.annotation)}"
        default = "" if each.default is each.empty else f" = {_default(each.default)}"
        parameters.append(f"{stars}{each.name}{note}{default}")
    gives = signature.return_annotation
    end = "" if gives is signature.empty else f" -> {_spelled(gives)}"
    line = f"{name}({', '.join(parameters)}){end}"
    if len(line) <= _WIDE:
        return line
    return f"{name}(\n" + "".join(f"    {each},\n" for each in parameters) + f"){end}"


def _spelled(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _default(value: Any) -> str:
    if isinstance(value, str):
        return repr(str(value))
    return repr(value) if value is None or isinstance(value, int | float | tuple | range) else "..."


def _returned(kinds: Iterable[type]) -> list[type]:
    """The classes that the public methods give, and those that these have as fields, each once."""
    found: dict[str, type] = {}
    left = list(kinds)
    while left:
        kind = left.pop(0)
        notes = [note for each in _methods(kind) for note in _notes(each)]
        if kind not in kinds:
            notes += [str(note) for note in getattr(kind, "__annotations__", {}).values()] if is_dataclass(kind) else []
        for name in dict.fromkeys(re.findall(r"\b[A-Z]\w+", " ".join(notes))):
            other = _named(kind, name)
            if isinstance(other, type) and other.__module__.startswith("auditlake") and other not in kinds:
                if name not in found and other not in (auditlake.AuditEvent, auditlake.EventType):
                    found[name] = other
                    left.append(other)
    return list(found.values())


def _notes(method: Callable[..., Any]) -> Iterator[str]:
    """What a method gives, and the options that it takes as one."""
    signature = inspect.signature(method)
    yield str(signature.return_annotation)
    yield from (str(each.annotation) for each in signature.parameters.values() if each.kind is each.VAR_KEYWORD)


def _named(kind: type, name: str) -> Any:
    """What a name means in the modules that a class is made of, imports for type checkers among it."""
    for base in kind.__mro__:
        if base.__module__.startswith("auditlake"):
            if (value := getattr(sys.modules[base.__module__], name, None)) is not None:
                return value
            if module := _imports(base.__module__).get(name):
                return getattr(importlib.import_module(module), name, None)
    return None


@cache
def _imports(module: str) -> dict[str, str]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("auditlake")
        for alias in node.names
    }


# Docstrings


def _markdown(text: str) -> str:
    """A docstring as Markdown: sections as lists, examples as code."""
    parts = re.split(r"^(Args|Raises|Returns|Yields|Example|Examples):\n", text, flags=re.MULTILINE)
    made = [_prose(parts[0])]
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        inside, _, after = re.match(r"((?:[ \t]+.*\n?|\n(?=[ \t]))*)()(.*)", body, re.DOTALL).groups()  # type: ignore[union-attr]
        made.append(_prose(dedent(inside)) if title.startswith("Example") else _section(title, dedent(inside)))
        made.append(_prose(after))
    return "\n\n".join(each for each in made if each)


def _section(title: str, text: str) -> str:
    words = {"Args": "Arguments", "Returns": "Gives", "Yields": "Gives"}
    if title in ("Returns", "Yields"):
        return f"{words[title]}: {_inline(text)}"
    items = re.split(r"\n(?=\S)", text.strip("\n"))
    lines = []
    for each in items:
        name, _, said = each.partition(": ")
        lines.append(f"- `{name}`: {_inline(said)}" if said else f"- {_inline(each)}")
    return f"{words.get(title, title)}:\n\n" + "\n".join(lines)


def _prose(text: str) -> str:
    """Paragraphs; what begins with a prompt, or is indented after two colons, is code."""
    made = []
    for each in re.split(r"\n\n+", text.strip("\n")):
        if each.lstrip().startswith(">>>"):
            made.append(f"```python\n{re.sub(r' *# doctest:.*', '', dedent(each))}\n```")
        elif each.startswith("    "):
            made.append(f"```text\n{dedent(each)}\n```")
        elif each.strip() != "::":
            made.append(_inline(re.sub(r"::$", ":", each)))
    return "\n\n".join(made)


def _inline(text: str) -> str:
    text = " ".join(text.split())
    text = re.sub(r":\w+:`~[\w.]+\.(\w+)`", r"`\1`", text)
    text = re.sub(r":\w+:`([\w.]+)`", r"`\1`", text)
    text = re.sub(r"docs/reference/semantics\.md, ([A-Z][\w ]+)", _cited, text)
    return re.sub(r"``(.+?)``", r"`\1`", text)


def _cited(match: re.Match[str]) -> str:
    """The rule that a docstring cites, as a link to it."""
    return f"[{match[1]}](semantics.md#{slug(match[1])})"


# Markdown


def slug(heading: str) -> str:
    """The anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _escaped(text: str) -> str:
    return re.sub(r"([<*])", r"\\\1", text)


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [f"| {' | '.join(each.replace('|', chr(92) + '|') for each in row)} |" for row in rows]
    if not lines:
        return []
    return ["\n".join([f"| {' | '.join(headings)} |", "|" + "---|" * len(headings), *lines])]


def _page(parts: Iterable[str]) -> str:
    return "\n\n".join(each for each in parts if each) + "\n"


def checking_page() -> str:
    """The recipe that lies beside the verifier, which has tests of its own."""
    return f"{_NOTICE}\n\n{(FOLDER.parent / 'verify' / 'README.md').read_text(encoding='utf-8')}"


def metadata_page() -> str:
    """The known keys of metadata, each with its meaning and the sources whose mappings fill it."""
    mapped = {each.name: each.outline.keys.get("metadata", {}) for each in built_in() if each.outline}
    rows = []
    for key, meaning in METADATA_KEYS.items():
        sources = [f"[{name}](../sources/{name}.md)" for name, keys in mapped.items() if key in keys]
        rows.append(
            f"| `{key}` | {meaning} | {'every source with a mapping' if key == 'mapping' else ', '.join(sources)} |"
        )
    return "\n".join((
        _NOTICE, "", "# Keys of metadata", "",
        "`metadata` of an event is a JSON object. The keys of this table mean the same in every source, so that one "
        "question can be asked of", "all of them. A source fills those of which its records say something; "
        "what a record does not say has no key.", "",
        "```sql", "select source, metadata ->> '$.credential' as credential, count(*) as changes", "from events",
        "where event_type = 'account_change' and metadata ->> '$.verb' = 'create'", "group by all",
        "order by changes desc", "```", "",
        "A source may have keys of its own beside them: its page names them, and so does "
        "`auditlake source sql NAME`.", "", "| key | what it says | filled by |", "|---|---|---|", *rows, "",
    ))  # fmt: skip


PAGES: dict[str, Callable[[], str]] = {
    "reference/cli.md": cli_page,
    "reference/checking.md": checking_page,
    "reference/metadata.md": metadata_page,
    "reference/sql.md": sql_page,
    "reference/python.md": python_page,
    **{f"sources/{path.name}": partial(source_page, path.stem) for path in sorted((FOLDER / "sources").glob("*.md"))},
}
"""The pages that are made, each by its function."""

if __name__ == "__main__":
    main()
