"""One event, there and back: from a line of a file to a finding in a report, and from the report back to the line.

Five failed logins of one user are five lines of a file. The first test takes them to a report. Each of the others takes
one step of the way back, and needs only what the step before it gave, SHA-256, and files that anybody can open:

    report -> policy -> SQL -> snapshot -> data files -> event ids -> lines of the input
                                  |
                                  +-> ledger entry -> the event's inclusion proof -> signed checkpoint
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from auditlake import AuditLake
from auditlake.ingest.custody import IngestSummary
from auditlake.reports.compliance import ComplianceReport
from tests.lakes import create

NOW = datetime.fromisoformat("2026-11-24T12:00:00+00:00")
LINES = [
    json.dumps({"event_type": "auth_failure", "timestamp": f"2026-11-24T09:0{minute}:00Z", "user_id": "mallory"})
    for minute in range(5)
]


@dataclass(frozen=True)
class Story:
    """What the way there leaves on the disk."""

    source: Path
    """The file with the five lines."""
    summary: IngestSummary
    lake: AuditLake
    made: ComplianceReport
    report: dict[str, Any]
    """The report's JSON file."""

    @property
    def evidence(self) -> dict[str, Any]:
        """What the report says about how it came to be."""
        evidence: dict[str, Any] = self.report["evidence"]
        return evidence

    @property
    def version(self) -> int:
        """The snapshot that the report was made of."""
        return int(self.evidence["snapshot"])

    @property
    def data_files(self) -> list[Path]:
        """The snapshot's files."""
        return [self.lake.layout.events / file.path for file in self.lake.snapshot(self.version).files]

    def rows(self) -> list[tuple[str, int, int]]:
        """Return each event's id, batch and number in the batch, from the snapshot's files."""
        with duckdb.connect() as connection:
            relation = connection.read_parquet([str(file) for file in self.data_files])
            rows: list[tuple[str, int, int]] = relation.select("event_id, batch, seq").order("seq").fetchall()
        return rows

    def proof(self) -> dict[str, Any]:
        """Return the inclusion proof of the last event."""
        proof: dict[str, Any] = json.loads(self.lake.ledger.prove(content_id("auditlake", LINES[-1], 1)))
        return proof


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The way there: a file, a lake, an ingest, a report."""
    folder = tmp_path_factory.mktemp("one")
    source = folder / "audit_20261124.jsonl"
    source.write_text("".join(f"{line}\n" for line in LINES))
    lake = create(folder / "lake", clock=lambda: NOW)
    summary = lake.ingest(source)
    made = lake.report("failed_logins", as_of=NOW)
    json_file, *_ = made.write(folder / "reports")
    return Story(source, summary, lake, made, json.loads(json_file.read_bytes()))


# --- There ---


def test_one_event(story: Story) -> None:
    """Five failed logins become five rows, and the fifth begins a finding in the report on failed logins."""
    (finding,) = story.made.report.violations

    assert (story.summary.landed, story.made.status) == (5, "violation")
    assert (finding.kind, finding.group, finding.peak) == ("threshold_exceeded", {"user_id": "mallory"}, 5)
    assert finding.start == datetime.fromisoformat("2026-11-24T09:04:00+00:00")


# --- And back ---


def test_the_report_holds_the_finding(story: Story) -> None:
    """The report's file holds the finding under an id that says the same finding in every report."""
    (finding,) = story.report["violations"]

    assert story.report["policy_id"] == "failed_logins"
    assert finding["id"] == story.made.report.violations[0].id
    assert finding["message"] == "5 events within 24h for user_id mallory: the threshold is 5"


def test_the_report_names_the_policy(story: Story) -> None:
    """The policy of the report is the file in the lake, byte for byte."""
    policy = story.lake.layout.policy("failed_logins").read_bytes()

    assert story.evidence["policy_digest"] == f"sha256:{hashlib.sha256(policy).hexdigest()}"


def test_the_sql_gives_the_finding(story: Story) -> None:
    """The report's SQL, run by hand in a plain DuckDB over the snapshot's files, finds the same episode."""
    (query,) = (query for query in story.evidence["queries"] if query["name"] == "rolling_counts")
    with duckdb.connect() as connection:
        connection.execute("set time zone 'UTC'")
        connection.read_parquet([str(file) for file in story.data_files]).create_view("events")
        answers = {}
        for statement in connection.extract_statements(query["sql"]):
            values = {name: bound(query["parameters"][name]) for name in statement.named_parameters}
            answer = connection.execute(statement, values or None)
            answers[tuple(column[0] for column in answer.description)] = answer.fetchall()
    ((columns, (row,)),) = ((names, rows) for names, rows in answers.items() if "peak_at" in names)
    episode = dict(zip(columns, row, strict=True))

    assert (episode["group_key"], episode["peak"]) == ("mallory", 5)
    assert episode["start"] == story.made.report.violations[0].start


def test_the_snapshot_is_its_files(story: Story) -> None:
    """Each file of the snapshot is named by the SHA-256 of its bytes, and the report names them all by one digest."""
    assert story.evidence["inputs_digest"] == story.lake.snapshot(story.version).inputs_digest
    assert [file.relative_to(story.lake.layout.events).as_posix() for file in story.data_files] == [
        f"event_date=2026-11-24/part-{hashlib.sha256(file.read_bytes()).hexdigest()}.parquet"
        for file in story.data_files
    ]


def test_the_files_hold_the_events(story: Story) -> None:
    """The files hold the events of the finding, whose ids follow from the lines that they were."""
    finding = story.made.report.violations[0].id
    ids = [event_id for event_id, _, _ in story.rows()]

    assert ids == [content_id("auditlake", line, 1) for line in LINES]
    assert {sample.event_id for sample in story.made.detail.samples[finding]} == set(ids)


def test_an_event_is_a_line_of_an_input(story: Story) -> None:
    """An event's batch leads to the commit that names the input by its SHA-256, and its number to the line."""
    ((batch, numbers),) = {(batch, tuple(seq for _, _, seq in story.rows())) for _, batch, _ in story.rows()}
    commit = commit_of(story, story.version)

    assert commit["batch"] == batch
    (source,) = commit["inputs"]
    assert source["name"] == str(story.source)
    assert source["sha256"] == hashlib.sha256(story.source.read_bytes()).hexdigest()
    assert [story.source.read_text().splitlines()[number] for number in numbers] == LINES


# --- And to what shows that nothing changed ---


def test_the_ledger_tells_of_the_commit(story: Story) -> None:
    """The ledger's entry on the snapshot names its files and the policy, and the commit names or holds the entry."""
    entry = story.proof()["entry"]
    text = json.loads(entry["text"])

    assert (text["kind"], text["version"]) == ("append", story.version)
    assert [path for path, _, _ in text["adds"]] == [
        file.relative_to(story.lake.layout.events).as_posix() for file in story.data_files
    ]
    assert f"sha256:{text['policies']['failed_logins']}" == story.evidence["policy_digest"]
    said = commit_info(story, story.version)
    if "auditlake.entry" in said:
        assert said["auditlake.entry"] == entry["text"]
    else:
        assert said["auditlake.ledger"] == leaf(entry["text"].encode()).hex()


def test_the_proof_leads_from_the_event_to_the_entry(story: Story) -> None:
    """The event's hash and the proof's paths give the root of its day, then of its batch, as the entry has it."""
    proof = story.proof()
    day, batch, text = proof["part"], proof["batch"], json.loads(proof["entry"]["text"])
    day_root = climb(leaf(proof["canonical"].encode()), day)
    batch_root = climb(leaf(f"{day['day']} {day['class']} {day['size']} ".encode() + day_root), batch)

    assert [day["batch"], day["day"], day["size"], day_root.hex()] in [part[:4] for part in text["parts"]]
    assert [day["batch"], batch["size"], batch_root.hex()] in text["roots"]


def test_the_proof_leads_from_the_entry_to_the_checkpoint(story: Story) -> None:
    """The entry's hash and the proof's path give the root of the checkpoint, which the lake's key has signed."""
    proof = story.proof()
    body, signature = proof["checkpoint"].rsplit("\n\n", 1)
    origin, size, root, *_ = body.split("\n")

    assert int(size) == proof["entry"]["size"]
    assert base64.b64decode(root) == climb(leaf(proof["entry"]["text"].encode()), proof["entry"])
    name, key = story.lake.layout.ledger.joinpath("key.pub").read_text().strip().split("+", 1)
    assert name == origin == f"auditlake/{story.evidence['lake_id']}"
    public_key = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.split("+", 1)[1])[1:])
    public_key.verify(base64.b64decode(signature.split()[-1])[4:], f"{body}\n".encode())


def test_auditlake_says_the_same(story: Story) -> None:
    """The lake's own verification finds no problem."""
    report = story.lake.ledger.verify()

    assert (report.ok, report.problems) == (True, ())


# --- The few formulas that the steps need ---


def content_id(source: str, line: str, occurrence: int) -> str:
    """Return the id of a record that brought none, from its content."""
    record = hashlib.sha256(line.encode()).hexdigest()
    return hashlib.sha256(f"{source}\n{record}\n{occurrence}".encode()).hexdigest()


def bound(value: object) -> object:
    """Return a parameter of the report's SQL as DuckDB takes it: text is an instant."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def commit_info(story: Story, version: int) -> dict[str, Any]:
    """Return what the Delta log's entry of a version says about the commit itself."""
    lines = story.lake.layout.commit(version).read_text().splitlines()
    (info,) = (action["commitInfo"] for action in map(json.loads, lines) if "commitInfo" in action)
    return dict(info)


def commit_of(story: Story, version: int) -> dict[str, Any]:
    """Return what auditlake says about a commit: the chain of custody of its inputs."""
    return dict(commit_info(story, version)["auditlake"])


def leaf(data: bytes) -> bytes:
    """Return the hash of a leaf of a Merkle tree (RFC 6962)."""
    return hashlib.sha256(b"\0" + data).digest()


def climb(node: bytes, step: dict[str, Any]) -> bytes:
    """Return the root over a leaf, from its place in the tree and the proof's path (RFC 9162, 2.1.3.2)."""
    index, last = step["index"], step["size"] - 1
    for sibling in map(bytes.fromhex, step["path"]):
        is_right = index % 2 == 1 or index == last
        node = hashlib.sha256(b"\1" + (sibling + node if is_right else node + sibling)).digest()
        while is_right and index % 2 == 0 and index:
            index, last = index // 2, last // 2
        index, last = index // 2, last // 2
    return node
