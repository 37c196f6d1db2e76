"""Alerts of measures that are asked of the lake: they are the episodes of the report, told as they begin and end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake.alerts import evaluator
from auditlake.alerts.lake_reader import Episode, LakeReader
from auditlake.events.times import micros, parse_instant
from auditlake.policies.model import Policy
from tests.alerts.conftest import Make
from tests.alerts.lakes import BASE, SECOND, Play, event
from tests.alerts.test_law import DELAYS, RELAXED, Case, cases, play_out

HEAD = "name: Watched\ndescription: d\nrequired_events: [login]\nretention_period: 30d\ncoverage: optional\n"
STEPS = "together: [{name: bad, where: \"status = 'failure'\"}, {name: good, where: \"status = 'success'\"}]\n"
DISTINCT = f"{HEAD}distinct: ip_address\nalert_threshold: 2\nwindow: 20s\ngroup_by: [user_id]\n"
TOGETHER = f"{HEAD}{STEPS}window: 20s\ngroup_by: [user_id]\n"
FIRST_SEEN = f"{HEAD}first_seen: {{value: [ip_address], entity: [user_id], memory: 60s}}\nwindow: 20s\n"
DORMANT = f"{HEAD}dormant: {{entity: [user_id], silence: 20s}}\nwindow: 20s\n"
FILES = (
    DISTINCT, TOGETHER, FIRST_SEEN, DORMANT,
    f"{HEAD}{STEPS}condition: bad and not good\nwindow: 20s\n",
    f"{HEAD}distinct: [ip_address, status]\nalert_threshold: 3\nwindow: 20s\nwhere: user_id = 'ann'\n",
    f"{HEAD}first_seen: {{value: [status], entity: [user_id], memory: 60s, learn: 5s}}\nwindow: 20s\n"
    "group_by: [ip_address]\n",
    f"{HEAD}dormant: {{entity: [ip_address], silence: 5s}}\nalert_threshold: 2\nwindow: 30s\ngroup_by: []\n",
)  # fmt: skip


def told(play: Play) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """The id and instant of each alert and of each resolution."""
    return tuple(
        sorted((each.id, micros(each.at)) for each in each_kind) for each_kind in (play.alerts, play.resolutions)
    )


def reported(play: Play) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """The id of each episode of the report with its start, and with its end."""
    found = json.loads(play.lake.report("watched").json())["violations"]
    instants = [
        (each["id"], micros(parse_instant(each["start"])), micros(parse_instant(each["end"]))) for each in found
    ]
    return sorted((name, start) for name, start, _ in instants), sorted((name, end) for name, _, end in instants)


def check_in_order(template: Path, folder: Path, case: Case, file: str) -> None:
    play = play_out(template, folder, case, file, by_instant=True)
    begun, ended = told(play)
    known = reported(play)
    play.close()
    if any(crash for _, crash in case.restarts.values()):
        begun, ended = sorted(set(begun)), sorted(set(ended))
    assert (begun, ended) == known


def check_in_any_order(template: Path, folder: Path, case: Case, file: str) -> None:
    play = play_out(template, folder, case, file)
    (begun, ended), (starts, _) = told(play), reported(play)
    play.close()
    assert {name for name, _ in begun} == {name for name, _ in ended}
    if "first_seen" not in file and "dormant" not in file and "not good" not in file:
        assert not starts or begun


@pytest.mark.parametrize(
    ("file", "logins", "said"),
    [
        (DISTINCT, [(0, "1", None), (5, "2", None)],
         "Watched: 2 different values of ip_address within 20s for user_id ann: the threshold is 2"),
        (TOGETHER, [(0, "1", "failure"), (5, "1", "success")],
         "Watched: 2 of 2 steps within 20s for user_id ann: the threshold is 2"),
        (FIRST_SEEN, [(-30, "1", None), (0, "1", None), (5, "2", None)],
         "Watched: New value of ip_address not seen for 60s for user_id ann"),
        (DORMANT, [(-40, "1", None), (5, "1", None)],
         "Watched: Return of user_id after 20s of silence for user_id ann"),
    ],
    ids=["distinct", "together", "first_seen", "dormant"],
)  # fmt: skip
def test_an_alert_comes_and_is_resolved_once(
    make: Make, file: str, logins: list[tuple[int, str, str | None]], said: str
) -> None:
    """The last login makes an episode; a restart in the middle of it, after a flush, tells nothing again."""
    play = make({"watched": file})
    play.now = BASE - 60 * SECOND
    play.evaluate()
    for second, address, status in logins:
        play.now = BASE + second * SECOND
        play.log(event(play.now, ip_address=f"10.0.0.{address}", status=status))
    play.evaluate()
    (alert,) = [each for each in play.alerts if each.at == play.clock()]
    assert alert.message == said
    play.stop()
    play.flush()
    play.now = BASE + 40 * SECOND
    play.evaluate()
    begun, ended = told(play)
    assert len(set(begun)) == len(begun) == len(ended)
    assert (begun, ended) == reported(play)


def test_what_a_late_event_took_away_is_resolved(make: Make) -> None:
    """The value was seen before after all."""
    play = make({"watched": FIRST_SEEN})
    play.evaluate()
    play.log(event(play.now, ip_address="10.0.0.1"))
    play.evaluate()
    (alert,) = play.alerts
    play.now += 2 * SECOND
    play.log(event(BASE - 30 * SECOND, ip_address="10.0.0.1"))
    play.evaluate()
    assert [(each.id, each.at, each.count) for each in play.resolutions if each.id == alert.id] == [
        (alert.id, alert.at, 0)
    ]


def test_one_that_cannot_be_asked_stops_no_other(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is named once, and left out until a policy changes."""
    import duckdb

    ask = LakeReader.episodes

    def fail(self: LakeReader, policy: Policy, *period: int) -> list[Episode]:
        if policy.id == "broken":
            raise duckdb.ConversionException("no")
        return ask(self, policy, *period)

    monkeypatch.setattr(LakeReader, "episodes", fail)
    play = make({"broken": DISTINCT, "watched": DISTINCT})
    play.evaluate()
    play.log(event(play.now, ip_address="10.0.0.1"), event(play.now, ip_address="10.0.0.2"))
    play.evaluate()
    assert [each.policy_id for each in play.alerts] == ["watched"]
    assert caplog.text.count("policy broken is not evaluated") == 1


def test_the_lake_is_asked_now_and_then(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a look there is a rest, and what came meanwhile is kept, for the next evaluator too."""
    monkeypatch.setattr(evaluator, "_REST_SECONDS", 1e9)
    play = make({"watched": DISTINCT})
    play.evaluate()
    assert play.evaluator is not None
    for address in "12":
        play.log(event(play.now, ip_address=f"10.0.0.{address}"))
        play.evaluator.cycle()
    assert play.alerts == []
    play.stop()
    play.evaluate()
    assert len(play.alerts) == 1


@given(cases((0,)), st.sampled_from(FILES))
@settings(RELAXED, max_examples=2)
def test_in_order(template: Path, tmp_path_factory: pytest.TempPathFactory, case: Case, file: str) -> None:
    """Where events come as they happen, alerts and resolutions are the report's findings, by id and instant."""
    check_in_order(template, tmp_path_factory.getbasetemp(), case, file)


@pytest.mark.soak
@given(cases((0,)), st.sampled_from(FILES))
@settings(RELAXED, max_examples=500)
def test_in_order_at_length(template: Path, tmp_path_factory: pytest.TempPathFactory, case: Case, file: str) -> None:
    """The same over many more cases."""
    check_in_order(template, tmp_path_factory.getbasetemp(), case, file)


@pytest.mark.soak
@given(cases(DELAYS), st.sampled_from(FILES))
@settings(RELAXED, max_examples=500)
def test_in_any_order_at_length(
    template: Path, tmp_path_factory: pytest.TempPathFactory, case: Case, file: str
) -> None:
    """However late events come, what is alerted is resolved."""
    check_in_any_order(template, tmp_path_factory.getbasetemp(), case, file)
