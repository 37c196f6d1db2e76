"""Filling a template, inside the confined process: a sandbox of Jinja's for what it may name, the kernel for the rest.

Jinja's sandbox keeps a template from attributes and from changing what it is given. It is no limit on work: time,
memory and output are the process's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2.debug  # noqa: F401 - what Jinja would import at the first mistake, when no file can be read any more
from jinja2 import FunctionLoader, StrictUndefined, TemplateSyntaxError
from jinja2.exceptions import SecurityError, TemplateError, TemplateNotFound, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from auditlake.confined.work import WorkError
from auditlake.display.text import visible
from auditlake.templates.filters import FILTERS

_MARKUP = frozenset({"htm", "html", "svg", "xhtml", "xml"})
_RANDOM = ("random",)
"""Filters of Jinja's that would give other bytes each time; of its globals, ``lipsum`` would."""
_MEGABYTE = 1_000_000


_FIRST = "{% macro m(x) %}{{ x|upper }}{% endmacro %}{{ m('\\u00e9<')|tojson }} {{ [{'a': 1}]|map(attribute='a')|sum }}"
"""A template that has Python and Jinja import what they only import when it is needed."""


class _TooMuchError(Exception):
    """The template gives more than it may."""


def readable() -> tuple[str, ...]:
    """Return no path: all that a template is filled with comes from the parent."""
    environment({"first.html.j2": _FIRST}, _MEGABYTE).get_template("first.html.j2").render()
    return ()


def work(told: Mapping[str, Any], parts: Sequence[bytes]) -> bytes:
    """Fill a template.

    Args:
        told: ``file``, the template's; ``variables`` beside the report; ``most``, the bytes that it may give.
        parts: The sources by file, and the report, both as JSON.

    Raises:
        WorkError: The template has a mistake, or gives too much.
    """
    sources, report = json.loads(parts[0]), json.loads(parts[1])
    file, most = told["file"], told["most"]
    made: list[bytes] = []
    try:
        for piece in environment(sources, most).get_template(file).generate(report=report, **told["variables"]):
            made.append(piece.encode("utf-8", "backslashreplace"))
            most -= len(made[-1])
            if most < 0:
                raise _TooMuchError
    except MemoryError:
        raise
    except _TooMuchError as error:
        raise WorkError(f"{file} gives more than {told['most'] // _MEGABYTE} MB") from error
    except Exception as error:
        raise WorkError(_told(error, file)) from error
    return b"".join(made)


def environment(sources: Mapping[str, str], most: int) -> ImmutableSandboxedEnvironment:
    """Return the environment of users' templates.

    What is undefined is an error, markup is escaped by the template's ending, and characters that a reader would not
    see are spelled out as on auditlake's own pages.

    Args:
        sources: The text of each file.
        most: The most characters of one value.
    """

    def source(name: str) -> tuple[str, str, None] | None:
        return (sources[name], name, None) if name in sources else None

    def finalized(value: Any) -> Any:
        """Return a value as it is put into the text: nothing for null, and hidden characters spelled out."""
        if value is None:
            return ""
        if not isinstance(value, str):
            return value
        if len(value) > most:
            raise _TooMuchError
        return value if isinstance(value, Markup) else visible(value, keep="\n\t")

    made = ImmutableSandboxedEnvironment(
        loader=FunctionLoader(source), undefined=StrictUndefined, autoescape=_is_markup, finalize=finalized,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, auto_reload=False,
    )  # fmt: skip
    made.globals.pop("lipsum")
    for name in _RANDOM:
        made.filters.pop(name)
    made.filters.update(FILTERS)
    return made


def _is_markup(name: str | None) -> bool:
    return (name or "").removesuffix(".j2").rpartition(".")[2] in _MARKUP


def _told(error: Exception, file: str) -> str:
    """Say what is wrong, and in which line."""
    if isinstance(error, TemplateNotFound):
        message = f"there is no {error.name} in the folder of templates"
    elif isinstance(error, TemplateSyntaxError | UndefinedError | SecurityError | TemplateError):
        message = error.message or type(error).__name__
    elif isinstance(error, RecursionError):
        message = "it goes around in circles"
    else:
        message = f"{type(error).__name__}: {error}"
    name, line = (error.name or file, error.lineno) if isinstance(error, TemplateSyntaxError) else _place(error, file)
    where = f"{name}, line {line}" if line else name
    return visible(" ".join(f"{where}: {message}".split())[:500])


def _place(error: BaseException, file: str) -> tuple[str, int]:
    """Return in which template, and in which line of it, an error came up; line 0 where that is not known."""
    place = (file, 0)
    trace = error.__traceback__
    while trace is not None:
        if "__jinja_exception__" in trace.tb_frame.f_globals:  # a frame that Jinja put there for the template's
            place = (trace.tb_frame.f_code.co_filename, trace.tb_lineno)
        trace = trace.tb_next
    return place
