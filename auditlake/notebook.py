"""``%load_ext auditlake``: cells of SQL over a lake.

::

    %%audit [LAKE] [--snapshot N] [>> NAME]
    select * from events where user_id = :user

LAKE is a Python variable that holds a lake, ``lake`` if nothing is named. ``:user`` is bound to the Python variable of
that name: as a value, never as text, and the query sees nothing else of Python. The rows are shown, or kept in NAME:
lazily, with the values that the parameters had.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from auditlake.errors import AuditLakeError, QueryError
from auditlake.lake import AuditLake

if TYPE_CHECKING:
    from auditlake.query.rows import Rows

_USAGE = "%%audit [LAKE] [--snapshot N] [>> NAME]"
_TOKEN = re.compile(
    r"""
    [eE]'(?:\\.|''|[^'\\])*'                        # text with escapes
    | '(?:''|[^'])*'                                # text
    | "(?:""|[^"])*"                                # a quoted name
    | (?P<tag>\$(?:[^\W\d]\w*)?\$).*?(?P=tag)       # text between dollars
    | --[^\n]* | /\*.*?\*/                          # comments
    | ::                                            # a cast
    | (?P<slice>\[\s*:(?=[^\W\d]))                  # a slice without a beginning, or a list of parameters: ambiguous
    | (?<![\w\])}"':]):(?P<name>[^\W\d]\w*)         # a parameter, unless it ends a slice or a key's value
    """,
    re.VERBOSE | re.DOTALL,
)


def read_line(line: str) -> tuple[str, int | None, str | None]:
    """Read what follows ``%%audit``: the lake's variable, the version to read, and the variable to keep the rows in.

    Raises:
        QueryError: It has an option that is unknown, or a name that is no variable's.
    """
    rest, arrow, name = line.partition(">>")
    name = name.strip()
    try:
        words = shlex.split(rest)
        snapshot = int(words.pop(words.index("--snapshot") + 1)) if "--snapshot" in words else None
    except (ValueError, IndexError):
        raise QueryError(f"%%audit: {line.strip()!r} cannot be read", hint=_USAGE) from None
    words = [word for word in words if word != "--snapshot"]
    if (arrow and not name.isidentifier()) or len(words) > 1 or any(not word.isidentifier() for word in words):
        raise QueryError(f"%%audit: {line.strip()!r} cannot be read", hint=_USAGE)
    return words[0] if words else "lake", snapshot, name or None


def bind(text: str, variables: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a cell's SQL with ``$name`` for ``:name``, and the values of exactly those names.

    Raises:
        QueryError: There is no such variable, or DuckDB reads other parameters in the text.
    """
    names: dict[str, None] = {}

    def spelled(match: re.Match[str]) -> str:
        name = match["name"]
        if match["slice"]:
            raise QueryError("[:name] may be a slice or a list of a parameter", hint="write [(:name)], or [1:name]")
        if name is None:
            return match[0]
        names[name] = None
        return f"${name}"

    sql = _TOKEN.sub(spelled, text)
    if absent := [name for name in names if name not in variables]:
        message = f"the cell asks for :{absent[0]}, and there is no Python variable {absent[0]}"
        raise QueryError(message, hint=f"{absent[0]} = … in a cell before this one")
    _agree(sql, set(names))
    return sql, {name: variables[name] for name in names}


def _agree(sql: str, names: set[str]) -> None:
    """Raise if DuckDB reads other parameters in a statement than these.

    Raises:
        QueryError: It does.
    """
    import duckdb

    try:
        with duckdb.connect() as connection:
            parsed = connection.extract_statements(sql)
    except duckdb.Error:
        return  # running it says better what is wrong
    parameters = {str(name) for each in parsed for name in each.named_parameters}
    if odd := sorted(parameters ^ names):
        raise QueryError(
            f"parameters of a cell are written :name, and {odd[0]} is not one", hint=":user, not $user or ?"
        )


def run(line: str, cell: str, variables: Mapping[str, Any]) -> tuple[str | None, Rows]:
    """Run a cell; return the name to keep its rows under, if there is one, and the rows.

    Raises:
        QueryError: The cell cannot be run.
    """
    holder, snapshot, name = read_line(line)
    lake = variables.get(holder)
    if not isinstance(lake, AuditLake):
        message = f"%%audit needs a lake, and there is none in the Python variable {holder}"
        raise QueryError(message, hint=f'{holder} = auditlake.open("…")')
    sql, values = bind(cell, variables)
    rows = lake.sql(sql, values or None, snapshot=snapshot)
    rows.relation()  # a mistake is raised in the cell that has it, even if its rows are only kept
    return name, rows


def register(shell: Any) -> None:
    """Give an IPython shell ``%%audit``.

    Args:
        shell: The shell that loads the extension.
    """
    from IPython.core.error import UsageError

    def audit(line: str, cell: str) -> Rows | None:
        try:
            name, rows = run(line, cell, shell.user_ns)
        except AuditLakeError as error:
            raise UsageError(f"{error}{f' ({error.hint})' if error.hint else ''}") from None
        if name is None:
            return rows
        shell.user_ns[name] = rows
        return None

    audit.__doc__ = __doc__
    shell.register_magic_function(audit, magic_kind="cell", magic_name="audit")
