"""Questions of the command line, and what doctor says first."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.lakes import create


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_no_is_nothing_was_done(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """Whoever says no to any question, or nothing at all, is told that nothing was done, with exit code 1."""
    create("lake")
    run("hold", "add", "h", "--reason", "r", "--owner", "o", "--ticket", "t")
    lake = tmp_path / "lake"
    (lake / "events" / "_delta_log" / f"{9:020d}.json").write_bytes(b"")  # what doctor sets aside

    def state() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in lake.rglob("*") if path.is_file() and path.name != ".lock"}

    before = state()
    for words in (
        ("policy", "remove", "failed_logins"), ("hold", "release", "h", "--reason", "r"), ("doctor", "--repair"),
    ):  # fmt: skip
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        done = run(*words)
        assert (words, done.code, done.err.splitlines()[-1]) == (words, 1, "nothing was done")
        assert state() == before

    (lake / "events" / "_delta_log" / f"{9:020d}.json").unlink()
    for words in (("retention", "apply"), ("erase", "--user-id", "x", "--reason", "r", "--ticket", "t")):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        done = run(*words)
        assert (words, done.code, done.err.splitlines()[-1]) == (words, 1, "nothing was done")


def test_doctor_says_first_what_matters(run: Run, tmp_path: Path) -> None:
    """The verdict comes first, then what is wrong, long lists cut; what is no problem is told on --verbose."""
    create("lake")
    folder = tmp_path / "lake" / "policies"
    for number in range(25):
        (folder / f"broken_{number}.yaml").write_text("name: [")
    (folder / "own.yaml").write_text((folder / "failed_logins.yaml").read_text())
    done = run("doctor")
    lines = done.out.splitlines()
    assert done.code == 4
    assert lines[0] == "25 things are wrong; restore what is named from a backup: nothing of it can be repaired here"
    assert [line.split(":")[0] for line in lines[1:22]] == ["WRONG"] * 21
    assert lines[21] == "WRONG: and 5 more; --verbose lists all"
    assert "note: " not in done.out
    assert "on what is no problem: --verbose" in lines[-1]
    full = run("doctor", "--verbose").out
    assert (full.count("WRONG: "), "note: " in full) == (25, True)
