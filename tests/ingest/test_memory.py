"""What an ingest may hold in memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ingest.lakes import checked, made
from tests.soak import mostly

SIZE = 2_000_000_000
LIMIT = 1_500_000_000

CHILD = """
import json, resource, sys
import auditlake
summary = auditlake.open(sys.argv[1]).ingest(*sys.argv[2:])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
numbers = {"landed": summary.landed, "duplicates": summary.duplicates, "reasons": dict(summary.reasons)}
print(json.dumps({"peak": peak, **numbers}))
"""


def write(path: Path, size: int) -> tuple[int, int, int]:
    """A file of so many bytes; gives how many events, duplicates and conflicts are in it.

    Every third record has no id, every 50th comes again, every 1,000th as another event.
    """
    landed = duplicates = conflicts = n = 0
    with path.open("w") as file:
        while n % 10_000 or file.tell() < size:
            own = f'"event_id":"event-{n:012d}",' if n % 3 else ""
            at = f"2026-{1 + n % 12:02d}-{1 + n % 28:02d}T{n % 24:02d}:00:00.{n % 10**6:06d}Z"
            line = (
                f'{{{own}"event_type":"login","timestamp":"{at}","user_id":"user{n % 5000}","action":"sign-in",'
                f'"resource":"/app/{n}","details":{{"n":{n},"text":"{n:040x}"}}}}\n'
            )
            file.write(line)
            landed, n = landed + 1, n + 1
            if own and n % 50 == 0:
                file.write(line)
                duplicates += 1
            if own and n % 1000 == 0:
                file.write(line.replace("sign-in", "sign-out"))
                conflicts += 1
    return landed, duplicates, conflicts


@pytest.mark.soak
def test_memory(tmp_path: Path) -> None:
    """2 GB of events, some without ids, some known, some in conflict, come in with less than 1.5 GB of memory."""
    path, lake = tmp_path / "x.jsonl", made(tmp_path / "lake")
    landed, duplicates, conflicts = write(path, SIZE)
    for expected in ((landed, duplicates), (0, landed + duplicates)):
        command = [sys.executable, "-c", CHILD, str(lake.layout.root), str(path)]
        answer = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        print(answer)
        assert (answer["landed"], answer["duplicates"]) == expected
        assert answer["reasons"] == {"id_conflict": conflicts}
        assert answer["peak"] < LIMIT


@pytest.mark.soak
def test_memory_of_conflicts(tmp_path: Path) -> None:
    """Millions of records under known ids, each another event, are refused within the same memory."""
    lake = made(tmp_path / "lake")
    for user, landed in (("a", 4_000_000), ("b", 0)):
        path = tmp_path / f"{user}.jsonl"
        with path.open("w") as file:
            for n in range(4_000_000):
                at = f"2026-01-{1 + n % 28:02d}T00:00:00Z"
                file.write(f'{{"event_id":"e{n}","event_type":"login","timestamp":"{at}","user_id":"{user}"}}\n')
        command = [sys.executable, "-c", CHILD, str(lake.layout.root), str(path)]
        answer = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        assert answer["landed"] == landed
        assert answer["peak"] < LIMIT


def test_many_refused(tmp_path: Path) -> None:
    """A file in which most is wrong is quarantined whole."""
    path, lake = tmp_path / "x.jsonl", made(tmp_path / "lake")
    path.write_text('{"event_type":"login","timestamp":"2026-11-24T09:00:00Z"}\n' + "bad\n{}\n" * 5_000)
    assert checked(lake, lake.ingest(path)).reasons == {"not valid JSON": 5_000, "event_type is missing": 5_000}


@pytest.mark.parametrize(("count", "size"), mostly([(400, 100_000), (6, 16_000_000)], always=[(400, 100_000)]))
def test_long_records(count: int, size: int, tmp_path: Path) -> None:
    """Records that are long come in, however few of them make a load, and their rows verify and compact."""
    lake = made(tmp_path / "lake")
    for part in range(2):
        path = tmp_path / f"{part}.jsonl"
        with path.open("w") as file:
            for n in range(part * count // 2, (part + 1) * count // 2):
                text = (f"{n:08d}" * (size // 8))[: size - 200]
                line = {"event_id": f"e{n}", "event_type": "login", "timestamp": "2026-11-02T00:00:00Z", "action": text}
                file.write(json.dumps(line) + "\n")
        assert lake.ingest(path).landed == count // 2

    assert lake.compact().files_after == 1
    assert lake.ledger.verify().ok
