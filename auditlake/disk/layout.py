"""Every path of a lake, computed in one place and without touching the disk.

::

    LAKE/
      lake.toml                 format version, id, created, settings
      events/                   a Delta table, partitioned by event_date (UTC day)
      landing/NN/               a slot: segments of live events, one writer at a time (see auditlake/landing/)
      quarantine/               input records that could not become events
      policies/*.yaml  holds/*.yaml
      packs/*.yaml              the packs of frameworks by which the lake is judged
      packs/old/*.yaml          their earlier revisions, each ID@REVISION.yaml
      frameworks.yaml           which of them, with the values that the lake gives their parameters
      sources/*.yaml            the lake's own mappings, for logs that auditlake does not know
      templates/                templates that people wrote, for reports in forms of their own
      ledger/  reports/
      certificates/             what was deleted, erased or derived anew: one JSON and one HTML file each
      pseudonyms.key            the secret that pseudonyms are made with
      findings/journal.jsonl    what people decided about findings, and who reviewed reports
      findings/listed.json      over which periods findings were listed last
      runs/journal.jsonl        which reports were evaluated, and when the lake was verified
      runs/<id>.started         a run under way, held by its process
      runs/by/*.yaml            the policies and packs that runs judged by, each named by its SHA-256
      runs/<schedule>.lock      the lock of those who run a schedule
      alerts/                   where the evaluator of alerts stands, and what is not delivered yet
      collected.jsonl           which objects were collected; without it, all of them are listed and read again
      .staging/<writer>/        what a writer has not committed yet
      .lock  .batch             the writers' lock, and the last batch number given out
      .collect  .nightly        the locks of those who collect, and of those who run any schedule
      .remembered/              what policies were found to say of each day; derived, and made again where it is gone
      .summaries/               counts of each data file; made of these, and made again where it is not there
      .bucket  .fetched         of a lake in a bucket: which one, and what of it this folder has a copy of
      .host                     which of the hosts that write to it this one is
      .history                  what the versions of the table were, so that not every log entry has to be read
      .ids/                     which data files may hold an id; made of these, and made again where it is not there
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from urllib.parse import unquote

POLICY_ID = re.compile(r"^[a-z0-9][a-z0-9_-]{0,63}\Z")
"""What a policy's id, so its file name, looks like."""

_PART = re.compile(r"^event_date=(?P<day>\d{4}-\d{2}-\d{2})/part-(?P<digest>[0-9a-f]{64})\.parquet\Z")

_IN_DAY = re.compile(r"^event_date=(?P<day>\d{4}-\d{2}-\d{2})/[^/]+\Z")


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one lake."""

    root: Path

    def name(self, path: Path) -> str:
        """Return the name of a file of the lake: its path below the lake's folder, with slashes."""
        return path.relative_to(self.root).as_posix()

    @property
    def config(self) -> Path:
        """lake.toml."""
        return self.root / "lake.toml"

    @property
    def events(self) -> Path:
        """The Delta table."""
        return self.root / "events"

    @property
    def log(self) -> Path:
        """The Delta transaction log."""
        return self.events / "_delta_log"

    @property
    def landing(self) -> Path:
        """Live events that are not in the table yet."""
        return self.root / "landing"

    @property
    def alerts(self) -> Path:
        """What the evaluator of alerts keeps; made when there is one."""
        return self.root / "alerts"

    @property
    def alert_state(self) -> Path:
        """Return the file that says where the evaluator of alerts stood, and what it told."""
        return self.alerts / "state.json"

    @property
    def quarantine(self) -> Path:
        """Records that could not become events."""
        return self.root / "quarantine"

    @property
    def policies(self) -> Path:
        """The policies of the lake."""
        return self.root / "policies"

    @property
    def packs(self) -> Path:
        """The packs of the lake; not there where it has none."""
        return self.root / "packs"

    @property
    def frameworks(self) -> Path:
        """What the lake sets of its packs; not there where it has none."""
        return self.root / "frameworks.yaml"

    @property
    def sources(self) -> Path:
        """The mappings of the lake's own; not there where it has none."""
        return self.root / "sources"

    @property
    def templates(self) -> Path:
        """The templates of the lake's own; not there where it has none."""
        return self.root / "templates"

    @property
    def holds(self) -> Path:
        """The legal holds of the lake."""
        return self.root / "holds"

    @property
    def certificates(self) -> Path:
        """Certificates of deletions and erasures."""
        return self.root / "certificates"

    @property
    def pseudonyms(self) -> Path:
        """The secret that pseudonyms are made with."""
        return self.root / "pseudonyms.key"

    @property
    def reports(self) -> Path:
        """Where reports go unless told otherwise."""
        return self.root / "reports"

    @property
    def journal(self) -> Path:
        """What people decided about findings; made when there is something."""
        return self.root / "findings" / "journal.jsonl"

    @property
    def run_journal(self) -> Path:
        """Which evaluations and verifications there were; made when there is one."""
        return self.root / "runs" / "journal.jsonl"

    @property
    def judged_by(self) -> Path:
        """The policies and packs that runs judged by; made when there is one."""
        return self.root / "runs" / "by"

    def started(self, run_id: str) -> Path:
        """Return the file that shows that a run is under way."""
        return self.run_journal.with_name(f"{run_id}.started")

    @property
    def collected(self) -> Path:
        """Which objects were collected."""
        return self.root / "collected.jsonl"

    @property
    def collect_lock(self) -> Path:
        """The file whose flock keeps a second collection out."""
        return self.root / ".collect"

    @property
    def nightly_lock(self) -> Path:
        """The file whose flock makes runs of schedules take turns."""
        return self.root / ".nightly"

    def schedule_lock(self, name: str) -> Path:
        """Return the file whose flock keeps a second run of a schedule out."""
        return self.run_journal.with_name(f"{name}.lock")

    @property
    def staging(self) -> Path:
        """Where writers prepare what they have not committed."""
        return self.root / ".staging"

    @property
    def lock(self) -> Path:
        """The file whose flock makes writers take turns."""
        return self.root / ".lock"

    @property
    def batch(self) -> Path:
        """The last batch number given out."""
        return self.root / ".batch"

    @property
    def remembered(self) -> Path:
        """What policies were found to say of each day; made when there is something."""
        return self.root / ".remembered"

    @property
    def remembered_lock(self) -> Path:
        """The file whose flock lets one process at a time change what is remembered."""
        return self.remembered / ".lock"

    @property
    def summaries(self) -> Path:
        """Counts of each data file; made when there is something."""
        return self.root / ".summaries"

    @property
    def summaries_lock(self) -> Path:
        """The file whose flock lets one process at a time change the summaries."""
        return self.summaries / ".lock"

    @property
    def bucket(self) -> Path:
        """Which bucket has the lake that this folder is a host's copy of; not there where the folder is the lake."""
        return self.root / ".bucket"

    @property
    def fetched(self) -> Path:
        """The tags of the objects that this folder has a copy of."""
        return self.root / ".fetched"

    @property
    def host(self) -> Path:
        """The number of this host among those that write to a lake in a bucket."""
        return self.root / ".host"

    @property
    def history(self) -> Path:
        """A summary of the log's entries."""
        return self.root / ".history"

    @property
    def ids(self) -> Path:
        """The index of ids."""
        return self.root / ".ids"

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders that ``init`` makes."""
        names = ("events", "landing", "quarantine", "policies", "holds", "ledger", "reports", "certificates",
                 ".staging")  # fmt: skip
        return tuple(self.root / name for name in names)

    def commit(self, version: int) -> Path:
        """Return the log entry of a version."""
        return self.log / f"{version:020d}.json"

    def delta_checkpoint(self, version: int) -> Path:
        """Return the checkpoint of the log at a version, if one was made."""
        return self.log / f"{version:020d}.checkpoint.parquet"

    @property
    def delta_pointer(self) -> Path:
        """The file that names the newest checkpoint of the log."""
        return self.log / "_last_checkpoint"

    @property
    def ledger(self) -> Path:
        """Entries, tree, checkpoint and keys of the ledger."""
        return self.root / "ledger"

    def slot(self, slot: int) -> Path:
        """Return the folder of a slot of the landing."""
        return self.landing / f"{slot:02d}"

    def segment(self, slot: int, number: int) -> Path:
        """Return a segment of a slot; the names of a slot sort by number."""
        return self.slot(slot) / f"{number:010d}.jsonl"

    def policy(self, policy_id: str) -> Path:
        """Return the file of a policy."""
        return self.policies / f"{policy_id}.yaml"

    def pack(self, pack_id: str) -> Path:
        """Return the file of a pack."""
        return self.packs / f"{pack_id}.yaml"

    def old_pack(self, pack_id: str, revision: str) -> Path:
        """Return the file of an earlier revision of a pack."""
        return self.packs / "old" / f"{pack_id}@{revision}.yaml"

    def source(self, name: str) -> Path:
        """Return the file of a mapping of the lake's own."""
        return self.sources / f"{name}.yaml"

    def hold(self, hold_id: str) -> Path:
        """Return the file of a hold."""
        return self.holds / f"{hold_id}.yaml"


def part_path(day: date, digest: str) -> str:
    """Return the path below ``events/`` of a data file: its day and the hex SHA-256 of its bytes."""
    return f"event_date={day.isoformat()}/part-{digest}.parquet"


def part_day_and_digest(path: str) -> tuple[date, str] | None:
    """Return what :func:`part_path` was given; None for a file that auditlake did not name."""
    match = _PART.match(unquote(path))
    with suppress(ValueError):  # a day that there is not
        return (date.fromisoformat(match["day"]), match["digest"]) if match else None
    return None


def partition_day(path: str) -> date | None:
    """Return the day of a data file of any program below ``events/``; None if it lies in no folder of a day."""
    match = _IN_DAY.match(path)
    with suppress(ValueError):
        return date.fromisoformat(match["day"]) if match else None
    return None


def report_stem(
    policy_id: str,
    as_of: datetime,
    snapshot: int,
    period: tuple[datetime, datetime] | None = None,
    entries: int = 0,
) -> str:
    """Return a report's file name without its ending.

    It names the period only where that is not the policy's usual one, and the last entry of the journal of findings
    that concerns the policy only where there is one.
    """
    stem = f"compliance_{policy_id}_{instant_in_name(as_of)}_v{snapshot}"
    stem += "".join(f"_{instant_in_name(instant)}" for instant in period or ())
    return f"{stem}_j{entries}" if entries else stem


def trend_file(policy_id: str) -> str:
    """Return the name of the page that shows a policy over time."""
    return f"compliance_{policy_id}{TREND}"


def framework_stem(
    pack_id: str, as_of: datetime, snapshot: int, period: tuple[datetime, datetime] | None = None
) -> str:
    """Return a framework report's file name without its ending; it names the period only where that is no usual one."""
    stem = f"framework_{pack_id}_{instant_in_name(as_of)}_v{snapshot}"
    return stem + "".join(f"_{instant_in_name(instant)}" for instant in period or ())


TREND = "_trend.html"
"""How the names of pages end that show a policy over time."""
_FORM = r"(?P<form>(?:\.[a-z][a-z0-9_-]{0,39}){1,2})"
"""The ending of a report's file: that of a form, or the name of a template and the ending that it has."""

REPORT_FILE = re.compile(
    r"(?P<stem>compliance_[a-z0-9_-]+?_(?P<as_of>\d{8}T\d{6}(?:\.\d{6})?Z)_v\d+(?:_\d{8}T\d{6}(?:\.\d{6})?Z){0,2}(?:_j\d+)?"
    r"(?:_[0-9a-f]{12})?)" + _FORM + r"\Z"
)
"""The names of a report's files: :func:`report_stem`, and a digest where another report had taken that name."""

FRAMEWORK_FILE = re.compile(
    r"(?P<stem>(?:framework_[a-z0-9-]+|control_[a-z0-9-]+_[A-Za-z0-9.-]+)_(?P<as_of>\d{8}T\d{6}(?:\.\d{6})?Z)_v\d+(?:_\d{8}T\d{6}(?:\.\d{6})?Z){0,2}"
    r"(?:_[0-9a-f]{12})?)" + _FORM + r"\Z"
)
"""The names of a framework report's files: :func:`framework_stem`, and a digest where another had taken that name;
and of the pages of its controls."""

FINDINGS_FILE = re.compile(r"findings_[0-9a-f]{32}\.parquet\Z")
"""The names of the lists of all findings beside the reports that list only the first of theirs."""


def instant_in_name(instant: datetime) -> str:
    """Return an instant for a name, without the microseconds of a whole second and of the last one of a day."""
    fraction = "" if instant.microsecond in (0, 999_999) else f".{instant.microsecond:06d}"
    return f"{instant:%Y%m%dT%H%M%S}{fraction}Z"
