"""Asks at a desk as other accounts: a program, since a process cannot come back from being another account.

What the command line needs is imported first: these accounts may not read where Python lies.
"""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


from auditlake.cli import main
from tests.desk.desks import become

QUERY = "select user_id, count(*) as n from events where source <> 'auditlake.self' group by all order by all limit 1"


def ask(socket: str) -> dict[str, object]:
    """Run the command line, and return what came of it."""
    sys.argv = ["auditlake", "sql", QUERY, "--desk", socket, "--json"]
    out, errors = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    code: object = 0
    with redirect_stdout(out), redirect_stderr(errors):
        try:
            main()
        except SystemExit as left:
            code = left.code or 0
    rows = json.loads(out.buffer.getvalue())["rows"] if code == 0 else None  # type: ignore[attr-defined]
    return {"code": code, "rows": rows, "errors": errors.getvalue()}


def readable(lake: Path) -> list[str]:
    """Return the files of a lake that this account may read."""
    return [str(path) for path in (lake, lake / "lake.toml", lake / "events") if os.access(path, os.R_OK | os.X_OK)]


def run(socket: str, lake: str, tries: list[tuple[int, int]]) -> None:
    """Ask as each of these accounts."""
    os.environ.pop("AUDITLAKE_PRINCIPAL", None)
    for uid, gid in tries:
        sys.stdout.flush()
        if (pid := os.fork()) == 0:
            become(uid, gid)
            print(json.dumps({"files": readable(Path(lake)), **ask(socket)}), flush=True)
            os._exit(0)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
