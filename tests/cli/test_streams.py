"""Standard streams that are closed, full, or have nobody at their other end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lakes import create

BASH = shutil.which("bash")
pytestmark = pytest.mark.skipif(BASH is None, reason="pipes are tried with bash")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake whose events are more than a pipe holds, with a policy whose own tests fail."""
    folder = tmp_path_factory.mktemp("streams")
    event = {"event_type": "auth_failure", "timestamp": "2026-11-24T09:00:00Z", "user_id": "mallory"}
    (folder / "many.jsonl").write_text("".join(json.dumps(event | {"event_id": f"{i}"}) + "\n" for i in range(5_000)))
    lake = create(folder / "lake")
    lake.ingest(folder / "many.jsonl")
    (folder / "failing.yaml").write_text(
        "name: Failing\ndescription: d\nrequired_events: [login]\nretention_period: 30d\nalert_threshold: 9\n"
        "tests: [{name: wrong, events: [{type: login, at: 2026-11-24T09:00:00Z}], expect: {status: violation}}]\n"
    )
    lake.policies.add(folder / "failing.yaml")
    return folder


CASES = {
    "stats >&-": 0,
    "events --format csv >&-": 0,
    "report --as-of 2026-11-25 --out closed <&- >&- 2>&-": 0,
    "report nothing 2>&-": 3,
    "frobnicate 2>&-": 2,
    "ingest many.jsonl <&-": 0,
    "ingest many.jsonl 2>&-": 0,
    "ingest - <&-": 3,
    "policy remove failing <&-": 2,
    "events | head -1": 0,
    "events --format csv | head -1": 0,
    "events --format jsonl | head -1": 0,
    "events --json | head -1": 0,
    "stats | true": 0,
    "--help | true": 0,
    "report nothing 2>&1 | true": 3,
    "report --as-of 2026-11-25 --out gone --fail-on violation | true": 1,
    "report --as-of 2026-11-25 --out gone --fail-on compliant failed_logins | true": 0,
    "policy check failing | true": 1,
}
if Path("/dev/full").exists():
    CASES["stats > /dev/full"] = 3
ALIKE = (
    "ingest many.jsonl 2>&-", "events --format jsonl | head -1", "events --json | head -1", "stats | true",
    "events --format csv >&-", "events | head -1", "report nothing 2>&1 | true", "ingest many.jsonl <&-",
    "report --as-of 2026-11-25 --out gone --fail-on compliant failed_logins | true", "stats >&-",
    "policy check failing | true",
)  # fmt: skip
"""Cases each of which differs from another one in its verb or form only."""


@pytest.mark.parametrize(
    "words", [pytest.param(words, marks=[pytest.mark.soak] * (words in ALIKE), id=words) for words in CASES]
)
def test_streams(words: str, lake: Path) -> None:
    """Whatever becomes of its streams, a verb does its work, says what it can, and leaves with its usual code."""
    command = f"set -o pipefail; {sys.executable} -m auditlake {words}"
    done = subprocess.run([str(BASH), "-c", command], cwd=lake, env=os.environ | {"AUDITLAKE_LAKE": "lake"},
                          capture_output=True, text=True, check=False)  # fmt: skip

    assert (done.returncode, "Traceback" in done.stderr, "Exception ignored" in done.stderr) == (
        CASES[words], False, False
    )  # fmt: skip
    assert "head -1" not in words or done.stdout.count("\n") == 1
    assert "--out closed" not in words or (lake / "closed" / "index.html").exists()


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with names that few encodings have, made from a file with such a name."""
    folder = tmp_path_factory.mktemp("foreign")
    event = {"event_type": "login", "timestamp": "2026-11-24T09:00:00Z", "user_id": "zoë 李\u202e", "action": "😀"}
    (folder / "événements.jsonl").write_text(json.dumps(event, ensure_ascii=False) + "\n", encoding="utf-8")
    create(folder / "lake").ingest(folder / "événements.jsonl")
    return folder


ANY_ENCODING = {
    "ascii": (("ingest événements.jsonl", 0), ("events", 0), ("report 日本", 3)),
    "cp1252": (("events --json", 0), ("events --format csv", 0), ("stats", 0)),
}


@pytest.mark.parametrize("encoding", ["ascii", pytest.param("cp1252", marks=pytest.mark.soak)])
def test_streams_of_any_encoding(encoding: str, foreign: Path) -> None:
    """No character fails on a stream whose encoding lacks it, and no verb after its commit."""
    for words, code in ANY_ENCODING[encoding]:
        command = [sys.executable, "-m", "auditlake", "--lake", "lake", *words.split()]
        done = subprocess.run(command, cwd=foreign, env=os.environ | {"PYTHONIOENCODING": encoding},
                              capture_output=True, check=False)  # fmt: skip
        assert (done.returncode, b"Traceback" in done.stderr) == (code, False), (words, done.stderr)


def test_data_is_utf_8(foreign: Path) -> None:
    """What goes into a file or a pipe is UTF-8, in whatever locale."""
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "auditlake", "--lake", "lake", "events", "--format", "csv"]
    done = subprocess.run(command, cwd=foreign, env=os.environ | locale, capture_output=True, check=True)

    assert "😀".encode() in done.stdout


def test_a_path_that_is_not_utf_8(foreign: Path) -> None:
    """A lake at such a path is one clear line, whether it is made there or lies there."""
    odd = Path(os.fsdecode(os.fsencode(foreign) + b"/odd \xff"))
    shutil.copytree(foreign / "lake", odd)
    for words, where in (("init", odd / "new"), ("stats", odd)):
        done = subprocess.run([sys.executable, "-m", "auditlake", "--lake", str(where), words],
                              capture_output=True, text=True, check=False)  # fmt: skip
        assert done.returncode == 3
        assert "the path's bytes are no UTF-8" in done.stderr.splitlines()[0]
        assert "Traceback" not in done.stderr
    assert not (odd / "new").exists()
