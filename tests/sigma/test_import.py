"""Rules become policies of a lake, each told with what came of it; what people edited stays."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from auditlake import AuditLake
from auditlake.errors import SourceError
from auditlake.sigma.logsources import home_of
from auditlake.sigma.model import STATES, Outcome
from auditlake.sources.catalog import built_in
from tests.cli.conftest import Run
from tests.lakes import create
from tests.sigma.conftest import RULES, write_rules

Writer = Callable[[dict[str, str]], Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rules(tmp_path_factory.mktemp("rules"), RULES)


@pytest.fixture(scope="module")
def outcomes(lake: AuditLake, folder: Path) -> dict[str, Outcome]:
    """What came of an import, by path."""
    return {each.path: each for each in lake.policies.import_sigma(folder)}


def test_every_rule_is_told(outcomes: dict[str, Outcome]) -> None:
    """Each rule is there once, with its policy or with the reason why it has none."""
    told = {path: (each.state, each.policy_id, each.reason) for path, each in outcomes.items()}
    reasons = {path: each.reason for path, each in outcomes.items() if each.state == "refused"}

    assert set(told) == set(RULES) - {"README.yml"}
    assert told["okta/admin.yml"] == ("new", "admin", "")
    assert told["other/admin.yml"] == ("new", "admin-33333333", "")
    assert "invalid" in reasons["refused/lookahead.yml"]
    assert reasons["refused/broken.yml"].startswith("it is no YAML: ")
    assert "condition" in reasons["refused/no_condition.yml"]
    assert {each.state for each in outcomes.values()} <= set(STATES)


def test_a_policy_for_people(lake: AuditLake, outcomes: dict[str, Outcome]) -> None:
    """The policy's file is what a person would write, with all that the rule says of itself."""
    policy = lake.policies.get("admin")

    assert (policy.name, policy.severity) == ("Somebody: is made an administrator", "high")
    assert policy.controls == {
        "MITRE ATT&CK": ("Privilege Escalation", "T1098.003"), "CVE": ("CVE-2024-1234",),
    }  # fmt: skip
    for part in (
        "Tells of new administrators.\n  Read this twice.", "False positives: Planned changes", "- https://example.org/b",
        "11111111-1111-4111-8111-111111111111", "author: Ann Example", "licence: not named",
        "okta/admin.yml sha256:", "Tags: example.tag",
    ):  # fmt: skip
        assert part in policy.description
    assert (policy.alert_threshold, str(policy.window), policy.coverage) == (1, "24h", "optional")
    assert set(policy.required_events) >= {"login", "permission_change", "system_error"}
    assert "#   target.displayName: $.target[*].displayName, $.target[*].displayname" in policy.text
    assert lake.policies.get("never").severity == "low"
    assert lake.policies.check() is not None


def test_a_policy_finds_what_its_rule_means(lake: AuditLake, outcomes: dict[str, Outcome]) -> None:
    """A report has an episode for the one event that the rule means."""
    report = lake.report("admin", period="2026-11")

    (finding,) = [each for each in report.findings if each.kind == "threshold_exceeded"]
    assert finding.measures["peak"] == 1
    assert finding.start is not None and finding.start.minute == 1


def test_fields_that_no_event_has(outcomes: dict[str, Outcome]) -> None:
    """Of each field is told in how many events it is, and of a rule whether an event can match at all."""
    never, admin = outcomes["okta/never.yml"], outcomes["okta/admin.yml"]

    assert [str(each) for each in never.unseen] == ["no.such.field: seen in 0 of 4 events of okta"]
    assert never.can_match is False
    assert admin.can_match is True and admin.unseen == ()
    assert {each.field: each.seen for each in admin.fields} == {
        "eventType": 4, "target.displayName": 3, "actor.alternateId": 4,
    }  # fmt: skip


def test_a_logsource_that_the_lake_lacks(lake: AuditLake, folder: Path, outcomes: dict[str, Outcome], run: Run) -> None:
    """Such a rule becomes a policy that says so, on its page as well; once a source has that name, it is made anew."""
    told = outcomes["absent/elsewhere.yml"]
    absence = "the logsource category process_creation, product windows"

    assert (told.state, told.sources, told.can_match) == ("new", ("windows_process_creation",), False)
    assert told.absent == (f"no source of this lake has {absence}: 0 of 4 events, looked for as source "
                           "windows_process_creation",)  # fmt: skip
    policy = lake.policies.get("elsewhere")
    assert f"no source of the lake had {absence}" in policy.description
    assert policy.where is not None and policy.where.startswith("source = 'windows_process_creation' and ")
    printed = run("--lake", lake.layout.root, "sigma", "import", "--dry-run", folder).out
    assert f"elsewhere.yml: as before as elsewhere\n  {told.absent[0]}\n" in printed
    assert "\n1 of them are about a logsource that no source of this lake has\n" in printed


def test_events_whose_source_has_gone(tmp_path: Path, rules: Writer) -> None:
    """A mapping of that name has the events; where it was removed, they are told all the same."""
    lake = create(tmp_path / "lake")
    (tmp_path / "windows_process_creation.yaml").write_text(
        dedent("""
        source: windows_process_creation
        match: [at, Image]
        timestamp: at
        action: Image
        event_type: [login: 'true']
        """)
    )
    lake.sources.add(tmp_path / "windows_process_creation.yaml")
    (tmp_path / "log.jsonl").write_text("".join(
        f'{{"at": "2026-11-20T08:00:0{number}Z", "Image": "x"}}\n' for number in range(3)
    ))  # fmt: skip
    lake.ingest(tmp_path / "log.jsonl", source="windows_process_creation")
    folder = rules({"elsewhere.yml": RULES["absent/elsewhere.yml"]})
    assert lake.policies.import_sigma(folder)[0].absent == ()

    lake.sources.remove("windows_process_creation")
    (told,) = lake.policies.import_sigma(folder)
    assert told.absent[0].endswith(": 3 of 3 events, looked for as source windows_process_creation")
    assert (told.state, told.can_match, [each.seen for each in told.fields]) == ("changed", True, [3])
    assert lake.report("elsewhere", period="2026-11").findings[0].measures["peak"] == 3


def test_import_again(lake: AuditLake, folder: Path, outcomes: dict[str, Outcome]) -> None:
    """What is there stays; a changed rule changes its policy; an edited policy and one without its rule are told."""
    path = lake.layout.policy("admin-33333333")
    before = path.read_text()
    try:
        again = {each.path: each.state for each in lake.policies.import_sigma(folder)}
        assert {state for state in again.values() if state != "refused"} == {"same"}

        path.write_text(before.replace("severity: medium", "severity: low"))
        changed = write_rules(path.parents[2] / "changed", RULES | {
            "okta/never.yml": RULES["okta/never.yml"].replace("eventType: x", "eventType: z"),
        })  # fmt: skip
        (changed / "okta" / "admin.yml").unlink()
        told = {each.policy_id: each for each in lake.policies.check_sigma(changed) if each.policy_id}
        assert {name: each.state for name, each in told.items()} == {
            "never": "changed", "admin-33333333": "edited", "admin": "gone", "elsewhere": "same",
        }  # fmt: skip
        assert told["admin"].path == "okta/admin.yml"

        lake.policies.import_sigma(changed)
        assert "severity: low" in path.read_text()
        assert "= 'z'" in lake.layout.policy("never").read_text()
    finally:
        path.write_text(before)
        lake.policies.import_sigma(folder)


def test_a_policy_of_that_name_stays(lake: AuditLake, rules: Writer) -> None:
    """A rule that is called like a policy of the lake gets another name, and a dry run writes nothing."""
    folder = rules({"authentication_monitoring.yml": RULES["other/admin.yml"].replace("3333", "9999")})
    (told,) = lake.policies.import_sigma(folder, dry_run=True)

    assert (told.state, told.policy_id) == ("new", "authentication_monitoring-99999999")
    assert not lake.layout.policy(told.policy_id).exists()


def test_filters(lake: AuditLake, rules: Writer, outcomes: dict[str, Outcome]) -> None:
    """A filter narrows the rules that it names, and its file is among those that the policy was made from."""
    folder = rules({
        "failed.yml": RULES["other/admin.yml"],
        "filter.yml": """
            title: Not the robot
            logsource: {product: okta, service: okta}
            filter:
              rules: [33333333-3333-4333-8333-333333333333]
              robot: {actor.alternateId: robot@example.org}
              condition: not robot
            """,
    })  # fmt: skip
    (told,) = lake.policies.import_sigma(folder / "failed.yml", folder / "filter.yml", dry_run=True)

    assert told.state == "changed"
    assert [each.field for each in told.fields] == ["outcome.result", "actor.alternateId"]


def test_one_rule_twice(lake: AuditLake, rules: Writer, outcomes: dict[str, Outcome]) -> None:
    """Of two rules of one id, the second is refused, and of two without one in a file each has a policy."""
    without = """
        title: One
        logsource: {product: okta}
        detection: {selection: {eventType: x}, condition: selection}
        """.replace("okta", "auditlake")
    folder = rules({"a.yml": RULES["okta/never.yml"], "b.yml": RULES["okta/never.yml"],
                    "c.yml": f"{without}---{without.replace('One', 'Two')}"})  # fmt: skip
    told = lake.policies.import_sigma(folder, dry_run=True)

    assert [(each.state, each.policy_id) for each in told[:2]] == [("changed", "never"), ("refused", "")]
    assert "a.yml is known by the same id" in told[1].reason
    assert [each.policy_id for each in told[2:]] == ["c", f"c-{told[3].policy_id[2:]}"]


def test_own_sources(lake: AuditLake, rules: Writer, outcomes: dict[str, Outcome]) -> None:
    """The caller may say which source has the events of a logsource; an unknown source is told."""
    folder = rules({"windows.yml": RULES["absent/elsewhere.yml"]})
    named = {"windows/process_creation": "okta"}

    (told,) = lake.policies.import_sigma(folder, sources=named, dry_run=True)
    assert (told.state, told.sources) == ("changed", ("okta",))
    with pytest.raises(SourceError, match="there is no source 'shop'"):
        lake.policies.import_sigma(folder, sources={"windows/*": "shop"})
    with pytest.raises(SourceError, match="is not there"):
        lake.policies.import_sigma(folder / "none")


def test_without_pysigma(lake: AuditLake, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the extra is not installed, the error says how to install it."""
    monkeypatch.setitem(sys.modules, "sigma.collection", None)

    with pytest.raises(SourceError) as caught:
        lake.policies.import_sigma(folder)
    assert caught.value.hint == "pip install 'auditlake[sigma]'"


def test_command_line(lake: AuditLake, folder: Path, outcomes: dict[str, Outcome], run: Run) -> None:
    """The commands print what came of each rule; a check ends with 1 where something has changed."""
    command = ("--lake", lake.layout.root, "sigma")
    told = run(*command, "import", "--dry-run", folder)
    checked = run(*command, "check", folder)
    changed = run(*command, "check", folder / "okta")
    printed = run(*command, "check", "--json", folder)
    wrong = run(*command, "import", "--logsource", "okta", folder)

    assert "okta/never.yml: as before as never\n  no.such.field: seen in 0 of 4 events of okta\n" in told.out
    assert "7 rules: would be 4 as before, 3 refused" in told.out
    assert told.err == ""
    assert (checked.code, changed.code, wrong.code) == (0, 1, 2)
    assert "admin-33333333: its rule is gone" in changed.out
    assert {each["path"]: each["state"] for each in printed.json["rules"]} == {
        path: "same" if each.policy_id else "refused" for path, each in outcomes.items()
    }  # fmt: skip


def test_rules_of_one_file_are_told_by_their_titles(lake: AuditLake, rules: Writer, run: Run) -> None:
    """A file may have several rules; one that has a single rule is enough by its name."""
    base = "title: {0}\nlogsource: {{product: okta, service: okta}}\ndetection: {{s: {{eventType: x}}, condition: s}}\n"
    both = "---\n".join([base.format("One"), base.format("Other")])
    folder = rules({"both.yml": both, "single.yml": base.format("Single"), "broken.yml": "title: [\n"})
    told = run("--lake", lake.layout.root, "sigma", "import", "--dry-run", folder).out.splitlines()

    assert [line.split(": new")[0] for line in told if ": new" in line] == [
        "both.yml (One)", "both.yml (Other)", "single.yml",
    ]  # fmt: skip
    (broken,) = (line for line in told if line.startswith("broken.yml"))
    assert broken.endswith(" at line 2, column 1")
    assert "byte string" not in broken


@pytest.mark.parametrize(("said", "made"), [("", []), ("\n  generate: false", []), ("\n  generate: true", ["base"])])
def test_rules_of_a_correlation(lake: AuditLake, rules: Writer, said: str, made: list[str]) -> None:
    """The rules that a correlation names make a policy of their own only where it says so."""
    base = "title: Base\nname: base\nlogsource: {product: okta, service: okta}\ndetection: {s: {a: x}, condition: s}\n"
    counted = "type: event_count\n  rules: [base]\n  timespan: 1h\n  condition: {gte: 5}"
    folder = rules({"base.yml": base, "many.yml": f"title: Many\ncorrelation:\n  {counted}{said}\n"})
    outcomes = lake.policies.import_sigma(folder, dry_run=True)

    assert [each.policy_id for each in outcomes if each.policy_id] == [*made, "many"]


@pytest.mark.parametrize(
    ("logsource", "source"),
    [
        ("aws/cloudtrail", "cloudtrail"), ("okta/okta", "okta"), ("github/audit", "github_audit"),
        ("kubernetes/audit", "k8s_audit"), ("gcp/gcp.audit", "gcp_audit"), ("gcp/google_workspace.admin", "gworkspace"),
        ("azure/activitylogs", "azure_activity"), ("azure/auditlogs", "entra"), ("azure/signinlogs", "entra"),
        ("azure/riskdetection", "entra"), ("azure/pim", "entra"), ("m365/audit", "m365"), ("linux/auditd", "auditd"),
        ("linux/sshd", "sshd"), ("auditlake/any", "auditlake"), ("onelogin/onelogin.events", "onelogin"),
        ("cisco/duo", "duo"), ("bitbucket/audit", "bitbucket"),
    ],
)  # fmt: skip
def test_where_the_events_of_a_logsource_lie(logsource: str, source: str) -> None:
    """Each logsource has a source: one that ships, or the name of one that a lake may bring."""
    product, service = logsource.split("/")
    home = home_of({"product": product, "service": service, "category": None}, built_in(), {})

    assert home.name == source
    assert bool(home.absent) == (source in ("onelogin", "duo", "bitbucket"))
