"""What holds for every measure: it is reported, drawn, backtested, packed, masked, and said to be alerted of or not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zipfile import ZipFile

import pytest
from click.testing import CliRunner

from auditlake import AuditEvent, AuditLake
from auditlake.alerts.watched_policies import Rules
from auditlake.cli import cli
from auditlake.cli.docs import FOLDER
from auditlake.cli.watch import _show_rest
from auditlake.policies.kinds import ASKED, BATCH
from auditlake.reports.sentences import verdict_words
from auditlake.sandbox.masking import Masking
from tests.lakes import create
from tests.retention.lakes import put_policies

NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)
HEAD = "name: n\ndescription: d\nrequired_events: [login, auth_failure]\ncoverage: optional\n"
REGION = "details ->> '$.region'"
QUESTIONS = {
    "distinct": f'window: 1h\nalert_threshold: 3\ndistinct: ip_address\ngroup_by: [user_id, "{REGION}"]\n',
    "together": "window: 2h\ngroup_by: [user_id]\ntogether: [{types: [auth_failure]}, {types: [login]}]\n",
    "sequence": "window: 6h\ngroup_by: [user_id]\nsequence:\n- {name: tries, types: [auth_failure], count: 3}\n"
                "- {types: [login]}\n",
    "first_seen": "window: 1d\nfirst_seen: {value: [ip_address], entity: [user_id], memory: 90d}\n",
    "dormant": "window: 1d\ndormant: {entity: [user_id], silence: 20d}\n",
    "sum": "window: 1d\nalert_threshold: 30\nsum: \"details ->> '$.n'\"\ngroup_by: [user_id]\n",
    "average": "window: 1d\nalert_threshold: 2\naverage: \"details ->> '$.n'\"\n",
    "baseline": "alert_threshold: 3\nbaseline: {bucket: 1d, season: 1d, seasons: 60, at_least: 4, ratio: 3}\n",
}  # fmt: skip


def event(kind: str, minutes: int, number: int) -> AuditEvent:
    at, region = NOW - timedelta(minutes=minutes), {"region": "eu", "n": 2.5}
    return AuditEvent(
        kind, at, user_id="ana", ip_address=f"10.0.0.{number}", event_id=f"{kind}{minutes}", details=region
    )


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> AuditLake:
    """Logins of one user from four addresses, failures among them, and a login two months before."""
    lake = create(tmp_path_factory.mktemp("measures") / "lake", clock=lambda: NOW)
    put_policies(lake, {name: HEAD + text for name, text in QUESTIONS.items()})
    logins = [event("login", 10 * n, n % 4) for n in range(12)]
    lake.ingest([*logins, *(event("auth_failure", 33 + 10 * n, n) for n in range(4)), event("login", 60 * 24 * 60, 3)])
    return lake


FOUND = {
    "distinct": ("threshold_exceeded", 1, {"values"}),
    "together": ("together", 1, {"steps"}),
    "sequence": ("sequence", 1, {"steps", "completions"}),
    "first_seen": ("first_seen", 2, {"new", "history_since"}),
    "dormant": ("dormant", 1, {"awake"}),
    "sum": ("threshold_exceeded", 1, {"numbers"}),
    "average": ("threshold_exceeded", 2, {"numbers"}),
    "baseline": ("baseline", 1, {"usual", "limit", "m", "past", "history_since"}),
}


WITH_USER = "with the same user_id"
SAID = {
    "distinct": (
        "1 episode of at least 3 different values of ip_address with the same user_id and details -&gt;&gt; "
        "&#39;$.region&#39; within 1 hour.",
        "Different values in a rolling window", "Highest rolling count per UTC day: different values of ip_address",
    ),
    "together": (
        f"1 episode of all 2 steps together {WITH_USER} within 2 hours.", "Steps together in a rolling window",
        f"Most steps together per UTC day: of 2 {WITH_USER} within 2 hours",
    ),
    "sequence": (
        f"1 episode of a sequence of 2 steps {WITH_USER} within 6 hours.", "Sequences in a rolling window",
        f"Whether there was a sequence per UTC day: 2 steps {WITH_USER} within 6 hours",
    ),
    "first_seen": (
        f"2 episodes of a new value of ip_address not seen for 90 days {WITH_USER}.", "New values in a rolling window",
        "Highest rolling count per UTC day: new values of ip_address not seen for 90 days",
    ),
    "dormant": (
        "1 episode of a return of user_id after 20 days of silence.", "Returns in a rolling window",
        "Highest rolling count per UTC day: returns of user_id after 20 days of silence within 1 day",
    ),
    "sum": (
        "1 episode of 30 or more as the sum of details -&gt;&gt; &#39;$.n&#39;", "Sums in a rolling window",
        "Highest sum per UTC day: details -&gt;&gt; &#39;$.n&#39; with the same user_id within 1 day",
    ),
    "average": (
        "2 episodes of 2 or more as the average of details", "Averages in a rolling window",
        "Highest average per UTC day: details -&gt;&gt; &#39;$.n&#39; within 1 day",
    ),
    "baseline": (
        "1 episode of at least 3 events in 1 day, and more than 3 times as many as usual.",
        "Counts against what is usual", "Most events in a bucket of 1 day per UTC day",
    ),
}  # fmt: skip
"""What its page says: what was found, the heading of its section, the title of its chart."""


@pytest.mark.parametrize("name", QUESTIONS)
def test_it_is_reported(lake: AuditLake, name: str, tmp_path: Path) -> None:
    """The report has findings of its kind with their evidence, which the page draws; a pack has the events."""
    kind, episodes, evidence = FOUND[name]
    made = lake.report(name)
    said = json.loads(made.json())
    assert (said["status"], said["status_now"], said["threshold"]["measure"]) == ("violation", "violation", name)
    assert [each["kind"] for each in said["violations"]] == [kind] * episodes
    assert set(said["violations"][0]["evidence"]) == evidence
    assert list(said["threshold"]["asked"]) == [name]
    page = made.html().decode()
    assert [words for words in SAID[name] if words not in page] == []
    drawn = {"sum": 0, "average": 0}.get(name, episodes)
    assert page.count(f'<figure class="picture {"comparison" if name == "baseline" else "timeline"}">') == drawn
    tried = lake.backtest(name, thresholds=[made.report.threshold.alert_threshold, 50]).tried
    assert [each.episodes for each in tried] == [episodes, 0]
    lake.evidence(name, out=tmp_path / "pack.zip")
    with ZipFile(tmp_path / "pack.zip") as pack:
        packed = [each for each in pack.namelist() if each.endswith(".parquet")]
    assert packed == sorted(f"reports/{name}/events/{each['id']}.parquet" for each in said["violations"])


@pytest.mark.parametrize(
    ("direction", "least", "said"),
    [
        ("above", 3, "found 1 episode of at least 3 events in 1 day, and more than 3 times as many as usual."),
        (
            "above",
            90,
            "No bucket of 1 day had 90 or more events and more than 3 times as many as usual, and no required",
        ),
        ("below", 1, "No bucket of 1 day had fewer events than usual divided by 3, where at least 1 are usual, and no"),
    ],
    ids=["above", "above, none", "below, none"],
)
def test_a_baseline_is_told_in_words(lake: AuditLake, tmp_path: Path, direction: str, least: int, said: str) -> None:
    """What is unusual, and from which floor on."""
    asked = f"bucket: 1d, season: 1d, seasons: 60, at_least: 4, ratio: 3, direction: {direction}"
    (tmp_path / "b.yaml").write_text(f"{HEAD}alert_threshold: {least}\nbaseline: {{{asked}}}\n")
    (made,) = lake.reports(policies=tmp_path)
    assert said in verdict_words(made.report)


def test_a_group_is_named_by_its_expression(lake: AuditLake) -> None:
    """What the policy writes is the key of the group: in findings, on the page, in an acceptance."""
    (finding,) = lake.findings.list("distinct")
    assert finding.finding.group == {"user_id": "ana", REGION: "eu"}
    assert f"no user_id or {REGION}" not in lake.report("distinct").html().decode()


LIVE = {"distinct", "together", "first_seen", "dormant"}


def test_it_is_said_which_are_alerted(lake: AuditLake, capsys: pytest.CaptureFixture[str]) -> None:
    """Four are asked of the lake, the others left out: ``watch``, ``policy show`` and each page say so."""
    rules = Rules(lake.layout, lake.config.event_types)
    rules.changed()
    assert (set(rules.policies), set(rules.alerted)) == (set(QUESTIONS), LIVE)
    out = CliRunner().invoke(cli, ["--lake", str(lake.layout.root), "policy", "show", "sequence"])
    assert "sequence is evaluated in batch" in out.output
    _show_rest(lake, ())
    said = capsys.readouterr().err
    for name in QUESTIONS:
        assert f"{name} is {ASKED if name in LIVE else BATCH}" in said
        page = (FOLDER / "kinds" / f"{name}.md").read_text()
        assert f"`auditlake watch` {'asks the lake for' if name in LIVE else 'leaves'} this measure" in page


def test_what_is_made_of_a_masked_column_is_masked() -> None:
    """An expression over a masked column hides its value and is hidden itself; a column alone is no secret."""
    masking = Masking(columns={"details": "hide", "user_id": 2})
    assert [masking.hides_expression(each) for each in (REGION, "user_id", "lower(user_id)", "action")] == [
        True, False, True, False,
    ]  # fmt: skip
    assert masking.shown_group({REGION: "eu", "user_id": "ana", "action": "a"}) == {
        REGION: None, "user_id": "an", "action": "a",
    }  # fmt: skip
    assert [masking.hides([each]) for each in (REGION, "user_id", "action")] == [True, True, False]


def test_a_sequence_tells_each_instant(tmp_path: Path) -> None:
    """JSON, page, message and CSV say when the steps of a chain were; of a step at most twenty instants are listed."""
    lake = create(tmp_path / "lake", clock=lambda: NOW)
    steps = "window: 6h\nsequence:\n- {name: tries, types: [auth_failure], count: 25}\n- {types: [login]}\n"
    put_policies(lake, {"guessed": HEAD + steps})
    lake.ingest([*(event("auth_failure", 60 - n, n) for n in range(25)), event("login", 30, 1)])

    report = lake.report("guessed")
    (finding,) = report.findings
    tries, login = finding.evidence["steps"]
    assert [each.minute for each in tries["instants"]] == [*range(20)]
    assert (tries["events"], tries["first"], tries["last"].minute) == (25, tries["instants"][0], 24)
    assert login["instants"] == [login["first"]] == [login["last"]]
    assert json.loads(report.json())["violations"][0]["evidence"]["steps"][1]["instants"] == [
        "2026-04-01T11:30:00.000000Z"
    ]
    message = (
        "step tries 25 times from 2026-04-01 11:00:00 to 2026-04-01 11:24:00 UTC; step 2 at 2026-04-01 11:30:00 UTC"
    )
    assert finding.message == f"A sequence of 2 steps within 6h: {message}"
    page = report.html().decode()
    assert f"2026-04-01 {', '.join(f'11:{n:02}:00' for n in range(20))} and 5 more" in page
    assert page.count('<circle class="seen between"') == 19, "the first of the listed instants is the row's end"
    assert message in report.to("csv").decode()
