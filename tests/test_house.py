"""The house rules that a machine can check: budgets, where SQL lives, what is exported, what statements declare."""

from __future__ import annotations

import ast
import gc
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import quantiles

import duckdb
import pytest

import auditlake
from auditlake import errors
from auditlake.engine.statements import statements
from tests import rooms

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "auditlake").rglob("*.py"))
SQL_FILES = sorted(file.relative_to(ROOT / "sql").as_posix() for file in (ROOT / "sql").rglob("*.sql"))

MAX_FILE = 500
MAX_FUNCTION = 60
MAX_P90_FUNCTION = 30
MAX_NESTING = 4


@cache
def nodes(file: Path) -> list[ast.AST]:
    """Every node of a module."""
    return list(ast.walk(ast.parse(file.read_text())))


@pytest.fixture(scope="module", autouse=True)
def nodes_go_with_the_tests() -> Iterator[None]:
    """Keep hundreds of thousands of nodes, which are no cycles, out of the garbage collector's way, here and later."""
    gc.disable()
    yield
    nodes.cache_clear()
    gc.enable()


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for file in MODULES:
        for node in nodes(file):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{file.relative_to(ROOT)}:{node.lineno} {node.name}", node


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    docstring = ast.get_docstring(node, clean=False)
    return (node.end_lineno or 0) - node.lineno + 1 - (docstring.count("\n") + 1 if docstring else 0)


def nesting(node: ast.AST, depth: int = 0) -> int:
    deeper = (ast.If, ast.For, ast.While, ast.With, ast.Try)
    levels = [depth]
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            continue
        # An elif is an If inside an If, but no deeper to the eye.
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and child in node.orelse
        levels.append(nesting(child, depth + (isinstance(child, deeper) and not is_elif)))
    return max(levels)


def test_files_are_short() -> None:
    """No module is longer than 500 lines."""
    lengths = {file.relative_to(ROOT).as_posix(): len(file.read_text().splitlines()) for file in MODULES}

    assert {name: n for name, n in lengths.items() if n > MAX_FILE} == {}


def test_functions_are_short() -> None:
    """No function is longer than 60 lines, and nine of ten have at most 30."""
    lengths = {name: body_lines(node) for name, node in functions()}

    assert {name: n for name, n in lengths.items() if n > MAX_FUNCTION} == {}
    assert quantiles(lengths.values(), n=10)[-1] <= MAX_P90_FUNCTION


def test_nesting_is_shallow() -> None:
    """No function nests its blocks deeper than four levels."""
    depths = {name: nesting(node) for name, node in functions()}

    assert {name: depth for name, depth in depths.items() if depth > MAX_NESTING} == {}


def test_lake_is_one_screenful() -> None:
    """lake.py, which has every verb, holds no SQL, no HTML, and at most 400 lines."""
    text = (ROOT / "auditlake" / "lake.py").read_text()

    assert len(text.splitlines()) <= 400
    assert not re.search(r"select |<html", text, re.IGNORECASE)


def test_sql_lives_in_sql() -> None:
    """No string in the package begins a query: statements live in sql/."""
    found = []
    for file in MODULES:
        for node in nodes(file):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if re.match(r"\s*(select|with|insert)\b.*\b(from|as|into)\b", node.value, re.IGNORECASE | re.DOTALL):
                    found.append(f"{file.relative_to(ROOT)}:{node.lineno}")

    assert found == []


def test_only_the_command_line_prints() -> None:
    """Nothing but the command line and the demo's own main writes to a stream."""
    loud = []
    for file in MODULES:
        if "cli" in file.parts or file.name == "demo.py":
            continue
        for node in nodes(file):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                loud.append(f"{file.relative_to(ROOT)}:{node.lineno}")

    assert loud == []


def test_only_the_clock_tells_the_time() -> None:
    """No module but machine.py asks what time it is, except for what no answer depends on."""
    allowed = {"machine.py", "commit.py", "lock.py", "compact.py", "output.py"}
    asking = [
        str(file.relative_to(ROOT))
        for file in MODULES
        if file.name not in allowed and re.search(r"\b(datetime\.now|time\.time|date\.today)\(", file.read_text())
    ]

    assert asking == []


def test_exports() -> None:
    """The package exports these names and no others."""
    names = ["AuditEvent", "AuditLake", "AuditLakeError", "EventType", "audit_session", "create", "open"]
    assert auditlake.__all__ == names
    assert all(hasattr(auditlake, name) for name in auditlake.__all__)


def test_errors_are_one_tree() -> None:
    """Every exception of errors.py descends from AuditLakeError and is drawn in the module's tree."""
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]

    for each in classes:
        assert issubclass(each, errors.AuditLakeError)
        assert each.__name__ in (errors.__doc__ or "")


def test_statements_declare_what_they_bind() -> None:
    """A statement binds exactly the parameters that its header declares."""
    for each in (statement for file in SQL_FILES for statement in statements(file).values()):
        (parsed,) = duckdb.extract_statements(each.text)

        assert set(parsed.named_parameters) == set(each.parameters), f"{each.file}:{each.name}"


def test_statements_are_found() -> None:
    """Every statement of a file has a header, and every header one statement."""
    for file in SQL_FILES:
        text = (ROOT / "sql" / file).read_text()

        assert len(duckdb.extract_statements(text)) == len(statements(file)) == text.count("-- name: "), file


def test_imports_are_lazy() -> None:
    """The command line's help imports neither DuckDB nor Arrow, Polars, Delta, Jinja or sqlglot."""
    heavy = {"duckdb", "pyarrow", "polars", "deltalake", "jinja2", "sqlglot", "numpy", "rich", "jsonschema_rs", "yaml"}
    code = "import sys, auditlake.cli; print(*sorted(sys.modules))"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )

    assert heavy & loaded == set()


def test_classes_are_found_before_they_are_imported() -> None:
    """What the package gives out is listed and can be asked for, whatever was imported; another name is an error."""
    code = """import auditlake
print({*auditlake.__all__} <= {*dir(auditlake)}, hasattr(auditlake, "Lake"), auditlake.AuditLake)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "True False <class 'auditlake.lake.AuditLake'>\n"


def test_tests_state_behaviour() -> None:
    """Every test's docstring is a sentence that says what is so."""
    silent = [
        f"{file.relative_to(ROOT)}:{node.lineno} {node.name}"
        for file in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        if not (ast.get_docstring(node) or "").rstrip().endswith(".")
    ]

    assert silent == []


def test_rooms_describe_themselves() -> None:
    """ARCHITECTURE.md has the rooms as they describe themselves, each with a door of at most three names."""
    listed = rooms.rooms()
    text = (ROOT / "ARCHITECTURE.md").read_text()

    assert {room.name for room in listed} == {file.parent.name for file in (ROOT / "auditlake").glob("*/__init__.py")}
    assert rooms.table() in text, "run python -m tests.rooms"
    for room in listed:
        assert (ROOT / "auditlake" / room.name / room.first).is_file()
        assert 1 <= len(room.door) <= 3
        for name in room.door:
            module, _, attribute = name.rpartition(".")
            home = ".".join(filter(None, ("auditlake", room.name, module)))
            assert hasattr(importlib.import_module(home), attribute), f"{home} has no {attribute}"
