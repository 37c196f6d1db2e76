"""350 policies, as rules of others are: the rival is the same with the policies of ``init`` alone, or one scan.

Sigma's own rules are read from the folder that ``SIGMA_RULES`` names, such as a clone of SigmaHQ; none is copied.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.data import AS_OF, Place
from tests.bench.work import Work
from tests.lakes import FOUR, create

if TYPE_CHECKING:
    from auditlake.engine.duck_engine import DuckEngine
    from auditlake.policies.model import Policy

MANY = 350
SCANNED, CONDITIONS = 400_000, 57
"""How many events are scanned, at the full scale, and for how many conditions."""
FEW = 3_772
"""How many real events of CloudTrail the time of one scan was specified for."""
BATCH, BATCHES = 10_000, 4
_SERVICES = ("iam", "s3", "ec2", "sts", "kms", "lambda", "rds", "config")
_VERBS = ("create", "delete", "put", "attach", "detach", "update", "get", "list", "stop", "start", "run", "assume")
_NOUNS = ("user", "role", "policy", "key")
_TYPES = ("access_denied", "api_call", "data_access")


RULES = os.environ.get("SIGMA_RULES", "")
"""Where Sigma's rules of CloudTrail are; the row that needs them is left out where nothing is named."""
_PATH = re.compile(r"details ->> '([^']*)'")


@dataclass(frozen=True, slots=True)
class Timed:
    """What a side found, and how long it took without what it needed."""

    seconds: float
    found: Any


def rules(number: int, *, source: str | None = "cloudtrail") -> Iterator[tuple[str, str]]:
    """Yield the names and conditions of rules."""
    of_source = f"source = '{source}' and " if source else ""
    for service, noun, verb in islice(product(_SERVICES, _NOUNS, _VERBS), number):
        yield (
            f"{service}-{verb}-{noun}",
            (
                f"{of_source}lower(details ->> '$.eventSource') = '{service}.amazonaws.com' "
                f"and lower(details ->> '$.eventName') in ('{verb}{noun}', '{verb}{noun}s')"
            ),
        )


def _folder(scratch: Path, number: int, *, source: str | None = "cloudtrail") -> Path:
    """Write four policies and some rules."""
    for policy_id, text in FOUR.items():
        (scratch / f"{policy_id}.yaml").write_text(text, encoding="utf-8")
    for name, where in rules(number, source=source):
        policy = {
            "name": name, "description": "A rule.", "required_events": list(_TYPES), "coverage": "optional",
            "alert_threshold": 1, "window": "1h", "group_by": ["user_id"], "where": where,
        }  # fmt: skip
        (scratch / f"{name}.yaml").write_text(json.dumps(policy), encoding="utf-8")
    return scratch


def _policies(scratch: Path, number: int, *, source: str | None = "cloudtrail") -> tuple[Policy, ...]:
    from auditlake.config import new_config
    from auditlake.policies.loader import load_policies

    return load_policies(_folder(scratch, number, source=source), new_config(AS_OF).event_types, is_later=True)


def _sides(run: Any) -> dict[str, Work]:
    """Return a run with the rules, and without; what the policies of ``init`` say must be the same."""

    def side(number: int) -> Work:
        return Work(lambda place, scratch: run(place, scratch, number), lambda each: each.found, lambda e: e.seconds)

    return {"ours": side(MANY), "policies of init": side(0)}


def reports() -> dict[str, Work]:
    """The JSON reports of all of them."""
    return _sides(_reports)


def _reports(place: Place, scratch: Path, number: int) -> Timed:
    import auditlake

    lake, folder = auditlake.open(place.lake, clock=lambda: AS_OF), _folder(scratch, number)
    start = time.perf_counter()
    made = lake.reports(as_of=AS_OF, pages=False, policies=folder)
    written = {each.policy_id: each.json() for each in made}
    seconds = time.perf_counter() - start
    names = {name for name, _ in rules(number)}
    return Timed(seconds, {name: json.loads(each)["violations"] for name, each in written.items() if name not in names})


def stands() -> dict[str, Work]:
    """The statistics of a lake of which nothing is remembered."""
    return _sides(_stands)


def _stands(place: Place, scratch: Path, number: int) -> Timed:
    import auditlake
    from auditlake.analysis.statistics import statistics
    from auditlake.policies.loader import load_policies
    from auditlake.query.view import judging_engine
    from auditlake.summaries.lake import lake_summaries

    context, folder = auditlake.open(place.lake, clock=lambda: AS_OF)._context, _folder(scratch, number)
    start = time.perf_counter()
    policies = load_policies(folder, context.config.event_types, tolerant=True, is_later=True)
    with judging_engine(context, None) as (engine, snapshot):
        counts = lake_summaries(context, engine, snapshot, kept=False)
        found = statistics(engine, context.layout, policies, AS_OF, snapshot, 20, counts, None)
    seconds = time.perf_counter() - start
    names = {name for name, _ in rules(number)}
    return Timed(seconds, [(each.policy_id, each.status) for each in found.policies if each.policy_id not in names])


@contextmanager
def _trail(place: Place) -> Iterator[DuckEngine]:
    """Give an engine over events with the details of a cloud's trail."""
    from auditlake.engine.duck import connect
    from auditlake.engine.duck_engine import DuckEngine
    from auditlake.policies.condition import COLUMNS

    made = {
        "event_id": "'e' || i", "event_type": f"{list(_TYPES)}[1 + i % 3]", "source": "'cloudtrail'",
        '"timestamp"': "timestamptz '2026-11-01 00:00:00+00' + to_seconds(cast(i as bigint))",
        "user_id": "'u' || i % 500",
        "details": f"""'{{"eventVersion":"1.08","eventSource":"' || {list(_SERVICES)}[1 + i % 8] || '.amazonaws.com",'
            || '"eventName":"' || ['Describe', 'Get', 'List', 'Create'][1 + i * 7 % 4]
            || ['Instances', 'Bucket', 'User', 'Things'][1 + i * 7 % 5] || '","awsRegion":"us-east-1"}}'""",
    }  # fmt: skip
    other = [f"cast(null as {kind}) as {name}" for name, kind in COLUMNS.items() if name not in made
             and name != "timestamp"]  # fmt: skip
    columns = ", ".join([*(f"{sql} as {name}" for name, sql in made.items()), *other])
    number = SCANNED * place.events // 10_000_000 or 1_000
    with connect() as connection:
        connection.execute(f"create temp table events as select {columns} from range({number}) as numbers(i)")
        yield DuckEngine(connection)


@contextmanager
def _real_trail(place: Place, *, few: bool = False) -> Iterator[DuckEngine]:
    """Give an engine over events with the details of real ones of CloudTrail."""
    from auditlake.engine.duck import connect
    from auditlake.engine.duck_engine import DuckEngine
    from auditlake.policies.condition import COLUMNS
    from tests.bench.mapping import real_records

    made = {
        "event_id": "'e' || record || '-' || i", "event_type": f"{list(_TYPES)}[1 + record % 3]",
        "source": "'cloudtrail'", "details": '"text"', "user_id": "'u' || record % 500",
        '"timestamp"': "timestamptz '2026-11-01 00:00:00+00' + to_seconds(cast(record as bigint))",
    }  # fmt: skip
    other = [f"cast(null as {kind}) as {name}" for name, kind in COLUMNS.items() if name not in made
             and name != "timestamp"]  # fmt: skip
    columns = ", ".join([*(f"{sql} as {name}" for name, sql in made.items()), *other])
    number = FEW if few else SCANNED * place.events // 10_000_000 or 1_000
    file, records = place.root / f"trail-{number}.parquet", real_records(place, "cloudtrail")
    with connect() as connection:
        if not file.exists():
            ((known,),) = connection.sql(f"select count(*) from '{records}'").fetchall()
            again, draft = -(-number // known), file.with_suffix(".draft")
            read = f"from '{records}', range({again}) as again(i) limit {number}"
            connection.execute(f"copy (select {columns} {read}) to '{draft}' (format parquet)")
            draft.rename(file)
        connection.execute(f"create temp view events as from '{file}'")
        yield DuckEngine(connection)


def scans() -> dict[str, Work]:
    """One scan: ours, by hand with each path read once, and by hand with the conditions as they are; processor time."""
    return _scans(_made_rules, _trail, {"by hand": _by_hand, "as they are": _as_they_are})


def sigma_scans(*, few: bool = False) -> dict[str, Work]:
    """The same of Sigma's rules of CloudTrail over real records; as they are, they would take minutes."""
    return _scans(_sigma_rules, partial(_real_trail, few=few), {"by hand": _by_hand})


def _scans(
    read: Callable[[Path], Sequence[Policy]],
    trail: Callable[[Place], AbstractContextManager[DuckEngine]],
    rivals: Mapping[str, Callable[..., Timed]],
) -> dict[str, Work]:
    ways = {"ours": _sieved, **rivals}

    def run(way: Callable[..., Timed], place: Place, scratch: Path) -> Timed:
        policies = read(scratch)
        with trail(place) as engine:
            return way(engine, policies)

    return {
        name: Work(partial(run, way), lambda each: each.found, lambda each: each.seconds) for name, way in ways.items()
    }


def _made_rules(scratch: Path) -> Sequence[Policy]:
    names = [name for name, _ in rules(CONDITIONS)]
    return [each for each in _policies(scratch, CONDITIONS) if each.id in names]


def _sigma_rules(scratch: Path) -> Sequence[Policy]:
    lake = create(scratch / "rules", clock=lambda: AS_OF)
    outcomes = lake.policies.import_sigma(RULES)
    names = [each.policy_id for each in outcomes if each.policy_id and each.sources == ("cloudtrail",)]
    assert names, f"no rule of CloudTrail in {RULES}"
    return [replace(each, required_events=_TYPES) for each in lake.policies.all() if each.id in names]


def _sieved(engine: DuckEngine, policies: Sequence[Policy]) -> Timed:
    from auditlake.policies.question import Question
    from auditlake.policies.sieve import sieve

    question = Question(AS_OF, AS_OF - timedelta(days=90), AS_OF)
    start = time.process_time()
    together = sieve(engine, [(each, question) for each in policies])
    assert together is not None
    found = sorted(each.id for each in policies if together.counts(each))
    return Timed(time.process_time() - start, found)


def _as_they_are(engine: DuckEngine, policies: Sequence[Policy]) -> Timed:
    return _counts(engine, policies, "events", str)


def _by_hand(engine: DuckEngine, policies: Sequence[Policy]) -> Timed:
    """Each path is read once, and made lower case once."""
    paths = sorted({path for each in policies for path in _PATH.findall(str(each.where))})
    listed = ", ".join(f"'{path}'" for path in paths)
    names = ", ".join(f"v[{n}] as p{n}, lower(v[{n}]) as l{n}" for n in range(1, len(paths) + 1))
    read = f"(select *, {names} from (select *, json_extract_string(details, [{listed}]) as v from events))"

    def named(where: str) -> str:
        for number, path in enumerate(paths, 1):
            where = where.replace(f"lower(details ->> '{path}')", f"l{number}")
            where = where.replace(f"details ->> '{path}'", f"p{number}")
        return where

    return _counts(engine, policies, read, named)


def _counts(engine: DuckEngine, policies: Sequence[Policy], table: str, named: Callable[[str], str]) -> Timed:
    counted = ", ".join(f"count(*) filter ({named(str(each.where))})" for each in policies)
    start = time.process_time()
    ((*numbers,),) = engine.rows(f"select {counted} from {table}")
    seconds = time.process_time() - start
    return Timed(seconds, sorted(each.id for each, number in zip(policies, numbers, strict=True) if number))


def alerts(*, source: str | None) -> dict[str, Work]:
    """Micro-batches of live lines: what each policy counts of them."""

    def side(number: int) -> Work:
        def run(_: Place, scratch: Path) -> Timed:
            return _live(_policies(scratch, number, source=source))

        return Work(run, lambda each: each.found, lambda e: e.seconds, lambda e: BATCH * BATCHES / e.seconds)

    return {"ours": side(MANY), "policies of init": side(0)}


def _lines(first: int) -> bytes:
    lines = []
    for number in range(first, first + BATCH):
        at = datetime(2026, 11, 30, tzinfo=UTC) + timedelta(milliseconds=number // 10)
        details = {"eventSource": "iam.amazonaws.com", "eventName": ("ListUsers", "DescribeKey")[number % 2]}
        event = {"event_id": f"e{number}", "event_type": _TYPES[number % 3], "timestamp": at.isoformat(),
                 "user_id": f"u{number % 500}", "action": "call", "details": details}  # fmt: skip
        lines.append(json.dumps(event))
    return ("\n".join(lines) + "\n").encode()


def _live(policies: Sequence[Policy]) -> Timed:
    """Count batches; the first is not timed, as statements are written then."""
    from auditlake.alerts.live_batches import Batches
    from auditlake.config import new_config

    asked = [policy for policy in policies if policy.alert_threshold]
    batches = Batches(new_config(AS_OF).event_types, 1 << 20, None)
    seen = 0
    start = 0.0
    for at in range(BATCHES + 1):
        lines = _lines(at * BATCH)
        before = time.perf_counter()
        batches.take([lines], AS_OF)
        for policy in batches.concerned(asked):
            counted = [len(each.moments) for each in batches.counted(policy)]
            seen += sum(counted) if policy.where is None else 0
        start += (time.perf_counter() - before) * (at > 0)
    batches.close()
    return Timed(start, seen)
