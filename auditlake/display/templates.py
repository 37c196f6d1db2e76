"""From a document to its bytes: one Jinja environment over ``reports_templates/``, and the JSON Schemas beside them.

A document is a frozen dataclass that names its template and holds exactly the variables which that template uses.
Jinja and the schemas are imported on first use: notebooks' cards import this module with the lake.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import Field, fields
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Never, Protocol

from auditlake import assets
from auditlake.errors import ReportError

if TYPE_CHECKING:
    from jinja2 import Environment
    from jsonschema_rs import Draft202012Validator
    from markupsafe import Markup

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.(html|json)")


class Document(Protocol):
    """A dataclass that a template renders."""

    template: ClassVar[str]
    """The template's file, below ``reports_templates/``."""
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


def render(document: Document) -> str:
    """Return the document's template filled with its fields."""
    template = environment().get_template(document.template)
    return template.render({item.name: getattr(document, item.name) for item in fields(document)})


def render_bytes(document: Document) -> bytes:
    """Return a document as the bytes of a page, with a newline at the end."""
    return (render(document) + "\n").encode("utf-8")


def render_values(document: Document) -> Any:
    """Return the values of a document whose template writes JSON.

    Raises:
        ValueError: A number is not finite.
    """
    return json.loads(render(document), parse_constant=_refuse)


@cache
def environment() -> Environment:
    """Return the one environment: everything is escaped, nothing undefined passes, ``fragment(document)`` nests one."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(assets.folder("reports_templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.policies["json.dumps_kwargs"] = {"allow_nan": False}
    made.globals["fragment"] = _fragment
    return made


def check_schema(document: Any, schema: str, what: str) -> None:
    """Check a parsed document against ``<schema>.schema.json``.

    Args:
        document: The values.
        schema: The schema's name.
        what: What the document is, for the message.

    Raises:
        ReportError: It does not fit; the message names the outermost place that does not.
    """
    try:
        errors = list(_validator(schema).iter_errors(document))
    except UnicodeEncodeError:  # half a surrogate pair in a key, which Rust has no word for
        whole = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
        errors = list(_validator(schema).iter_errors(json.loads(whole)))
    if errors:
        first = min(errors, key=lambda error: len(error.instance_path))
        message = f"the JSON {what} does not fit its schema at {_json_path(first.instance_path)}: {first.message[:500]}"
        raise ReportError(message, hint="this is a mistake of auditlake, not of the lake; nothing was written")


@cache
def style_digest() -> str:
    """Return SHA-256 in base64 of the style that the pages include, as a content security policy wants it."""
    style = (assets.folder("reports_templates") / "style.css").read_bytes().removesuffix(b"\n")
    return base64.b64encode(hashlib.sha256(style).digest()).decode("ascii")


def file_name(name: str | None) -> str | None:
    """Return a plain file name as it is, so that a link leads to a file beside the page and nowhere else.

    Raises:
        ReportError: It is no plain file name.
    """
    if name is not None and _FILE.fullmatch(name) is None:
        message = f"a report links to plain file names only, got {name!r}"
        raise ReportError(message)
    return name


def _fragment(document: Document) -> Markup:
    from markupsafe import Markup

    return Markup(render(document).rstrip("\n"))  # noqa: S704 - a template of ours escaped it


@cache
def _validator(schema: str) -> Draft202012Validator:
    from jsonschema_rs import Draft202012Validator  # some hundredths of a second that only reports pay

    parsed: Any = json.loads((assets.folder("reports_templates") / f"{schema}.schema.json").read_bytes())
    return Draft202012Validator(parsed)


def _json_path(steps: Sequence[str | int]) -> str:
    """Return a place in a document as JSONPath writes it."""
    return "$" + "".join(
        f".{step}" if isinstance(step, str) and _PLAIN_KEY.fullmatch(step) else f"[{step!r}]" for step in steps
    )


def _refuse(constant: str) -> Never:
    message = f"{constant} is not a number"
    raise ValueError(message)
