"""Files that lie among logs and are none: left out of a folder or pattern and named, refused where named themselves."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from auditlake.errors import SourceError, UnrecognisedInputError
from auditlake.sources.catalog import built_in
from auditlake.sources.inputs import expand_inputs
from auditlake.sources.model import InputFile
from auditlake.sources.reader import open_records
from auditlake.store.deltalog import commit_metadata
from tests.ingest.lakes import checked, login, made, put
from tests.soak import mostly

STRANGERS = {
    "README.md": "it is neither JSON nor a table with the columns of an event",
    "compliance_old_v1.json": "it looks like JSON, without the keys of an event",
    "prices.csv": "it is neither JSON nor a table with the columns of an event",
    "prices.parquet": "no column event_type and no column timestamp",
}


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A folder with two logs and files that are none."""
    folder = tmp_path / "logs"
    folder.mkdir()
    put(folder / "a.jsonl", login(1))
    put(folder / "z.jsonl", login(2))
    (folder / "README.md").write_text("# Notes\n")
    (folder / "compliance_old_v1.json").write_text(json.dumps({"report_version": 1, "policy_id": "x"}, indent=2))
    (folder / "prices.csv").write_text("item,price\nbook,3\n")
    pq.write_table(pa.table({"item": ["book"], "price": [3]}), folder / "prices.parquet")
    return folder


@pytest.mark.parametrize("pattern", mostly(["", "/*", "/**"], always=["", "/**"]))
def test_left_out_and_named(logs: Path, tmp_path: Path, pattern: str) -> None:
    """The logs land; each other file is named, with why, and the chain of custody has it as left out."""
    lake = made(tmp_path / "lake")
    summary = checked(lake, lake.ingest(f"{logs}{pattern}"))

    left_out = {Path(each.name).name: each.notice for each in summary.inputs if each.notice}
    assert (summary.landed, summary.quarantined) == (2, 0)
    assert left_out == {name: f"not recognised ({why})" for name, why in STRANGERS.items()}
    entries: Any = commit_metadata(lake.layout, 1)
    custody = {Path(each["name"]).name: each for each in entries["inputs"]}
    assert {custody[name]["format"] for name in STRANGERS} == {"unrecognised"}
    assert custody["README.md"]["size"] == 8


@pytest.mark.parametrize("name", STRANGERS)
def test_refused_where_named(logs: Path, tmp_path: Path, name: str) -> None:
    """A file that is named itself must be recognised, also if a folder that is named too holds it."""
    lake = made(tmp_path / "lake")
    for inputs in ((logs / name,), (logs, logs / name), (logs / name, logs)):
        with pytest.raises(UnrecognisedInputError, match=re.escape(name)):
            lake.ingest(*inputs)
    assert lake.snapshot().version == 0


def test_refused_under_strict(logs: Path, tmp_path: Path) -> None:
    """Under strict, nothing is left out."""
    lake = made(tmp_path / "lake")
    with pytest.raises(UnrecognisedInputError, match=r"README\.md is not recognised"):
        lake.ingest(logs, strict=True)
    assert lake.snapshot().version == 0


def test_a_folder_of_strangers(logs: Path, tmp_path: Path) -> None:
    """A folder of which nothing is recognised is an error that names what lies there, whatever else is ingested."""
    (logs / "a.jsonl").unlink()
    (logs / "z.jsonl").rename(tmp_path / "z.jsonl")
    lake = made(tmp_path / "lake")
    with pytest.raises(UnrecognisedInputError, match=r"nothing in .*logs is an input: ") as caught:
        lake.ingest(tmp_path / "z.jsonl", logs)
    assert all(name in str(caught.value) and why in str(caught.value) for name, why in STRANGERS.items())
    assert lake.snapshot().version == 0

    for i in range(30):
        (logs / f"{i}.txt").write_text("?")
    with pytest.raises(UnrecognisedInputError, match="and 14 more"):
        lake.ingest(logs)


def test_each_entry_of_a_folder_is_read_or_named(logs: Path, tmp_path: Path) -> None:
    """What cannot be a log is named with the reason, and nothing waits for a pipe; the custody has it too."""
    for name in STRANGERS:
        (logs / name).unlink()
    for folder in (".git", "_delta_log", "deep/.cache"):
        (logs / folder).mkdir(parents=True)
        put(logs / folder / "x.jsonl", login(9))
    put(logs / ".hidden.jsonl", login(8))
    os.mkfifo(logs / "pipe")
    (logs / "gone.jsonl").symlink_to("nowhere")
    (logs / "empty.jsonl").touch()
    for name in ("_SUCCESS", "_metadata"):
        (logs / name).touch()
    put(logs / "_b.jsonl", login(3))

    lake = made(tmp_path / "lake")
    summary = checked(lake, lake.ingest(logs))
    hidden, note = "its name begins with a dot", "a table's own note, which holds no records"
    assert summary.landed == 3
    named = {os.path.relpath(each.name, logs): each.notice for each in summary.inputs if each.notice}
    assert named == {
        ".git": hidden, "_delta_log": note, "deep/.cache": hidden, ".hidden.jsonl": hidden,
        "pipe": "neither a file nor a folder", "gone.jsonl": "a link to nowhere, which is not there",
        "empty.jsonl": "it is empty", "_SUCCESS": note, "_metadata": note,
    }  # fmt: skip
    entries: Any = commit_metadata(lake.layout, 1)
    assert {each["name"]: each["notice"] for each in entries["inputs"] if "notice" in each} == {
        each.name: each.notice for each in summary.inputs if each.notice
    }
    assert not summary.nothing_read


def test_a_lake_is_never_an_input(tmp_path: Path) -> None:
    """A lake, a copy of it, and what belongs to it are left out and named, by whatever path they are reached."""
    lake = made(tmp_path / "lake")
    lake.ingest(put(tmp_path / "a.jsonl", login(1), "bad"))
    copy = made(tmp_path / "in" / "copy")
    copy.ingest(put(tmp_path / "b.jsonl", login(2)))
    put(copy.layout.root / "logs.jsonl", login(7))
    (copy.layout.root / "logs").mkdir()
    put(copy.layout.root / "logs" / "own.jsonl", login(3))
    (tmp_path / "in" / "link").symlink_to(lake.layout.events)

    (file,) = copy.snapshot().files
    data = copy.layout.events / file.path
    for given in (tmp_path / "in", copy.layout.events, tmp_path / "in" / "*", str(data) + "*"):
        target = made(tmp_path / "target")
        summary = target.ingest(put(tmp_path / "z.jsonl", login(5)), given)
        assert summary.landed == 1
        assert any("lake, which is never an input" in each.notice for each in summary.inputs)
        shutil.rmtree(tmp_path / "target")
    assert made(tmp_path / "target").ingest(copy.layout.root / "logs").landed == 1


def test_no_message_quotes_what_is_no_log(logs: Path, tmp_path: Path) -> None:
    """Whatever a file that is no log is called, and however it is refused, nothing of it is told or kept."""
    secret = "SECRETSECRETSECRETSECRET"
    table = f"{secret},a\n1,2"
    told = []
    for content in ("PAR1" + secret, secret, f'{{"{secret}":"{secret}"}}', f'["{secret}"]', table, f'"{secret}'):
        for name in ("key", "key.json", "key.csv", "key.jsonl", "key.parquet"):
            path = put(logs / name, content)
            for within, source in (("", None), (str(logs), None), ("", "cloudtrail")):
                try:
                    opened = open_records(InputFile(name, path, within), source, 1000, tmp_path, catalog=built_in())
                    told.append(opened.notice)
                    opened.stream.close()
                except SourceError as error:
                    told.append(str(error) + error.hint)
    with pytest.raises(SourceError) as caught:
        made(tmp_path / "lake").ingest(put(logs / "key.csv", table), source="auditlake")
    assert secret not in f"{told} {caught.value} {caught.value.hint}"
    lake = made(tmp_path / "other")
    assert secret not in str(lake.ingest(logs, put(tmp_path / "a.jsonl", login(9))))
    assert all(secret.encode() not in path.read_bytes() for path in lake.layout.root.rglob("*") if path.is_file())


def test_what_links_lead_to_is_read_once_and_the_links_are_named(tmp_path: Path) -> None:
    """Of a file and links to it the file is read; links to it, to its folder or to a lake are named with the reason."""
    dup = tmp_path / "dup"
    for folder in (dup / "d1", dup / "sub", tmp_path / "out"):
        folder.mkdir(parents=True)
    put(dup / "d1" / "a.jsonl", login(1))
    put(tmp_path / "out" / "b.jsonl", login(2))
    put(dup / ".c.jsonl", login(3))
    inner = made(dup / "lake")
    links = {
        "al.jsonl": "d1/a.jsonl", "d0": "d1", "d2": "d1", "sub/link": "../lake", "self": ".", "out1": "../out",
        "out2": "../out", "seen.jsonl": ".c.jsonl", "gone1": "nowhere", "gone2": "nowhere",
        "tree.jsonl": "../out/b.jsonl",
    }  # fmt: skip
    for name, target in links.items():
        (dup / name).symlink_to(target)
    lake_, file, gone = (
        "a lake, which is never an input",
        f"the same file as {dup}/",
        "a link to nowhere, which is not there",
    )
    expected = {
        "d1/a.jsonl": "", "al.jsonl": f"{file}d1/a.jsonl", "d0": f"the same folder as {dup}/d1",
        "d2": f"the same folder as {dup}/d1", "sub/link": lake_, "lake": lake_, "self": f"the same folder as {dup}",
        "tree.jsonl": "", "out1/b.jsonl": f"{file}tree.jsonl", "out2": f"the same folder as {dup}/out1",
        ".c.jsonl": "its name begins with a dot", "seen.jsonl": "", "gone1": gone, "gone2": gone,
    }  # fmt: skip
    assert {os.path.relpath(each.name, dup): each.left_out for each in expand_inputs([dup])} == expected
    found = {os.path.relpath(each.name, dup): each.left_out for each in expand_inputs([dup / "*"])}
    assert found["d1/a.jsonl"] == "" and found["al.jsonl"] == f"{file}d1/a.jsonl"
    assert found["d2/a.jsonl"] == f"{file}d1/a.jsonl"
    named = {os.path.relpath(each.name, dup): each.left_out for each in expand_inputs([dup, dup / "al.jsonl"])}
    assert (named["al.jsonl"], named["d1/a.jsonl"]) == ("", f"{file}al.jsonl")
    assert [each.left_out for each in expand_inputs([dup / "d1", dup / "d1" / "a.jsonl", dup / "d1" / "*"])] == [""]

    summary = checked(inner, inner.ingest(dup))
    assert (summary.read, summary.landed) == (3, 3)
    assert {os.path.relpath(each.name, dup): each.notice for each in summary.inputs} == expected
