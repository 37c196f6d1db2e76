"""Forms on the command line: reports, catalogues of packs, and what checks of files say as SARIF."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import auditlake
from auditlake import AuditLake
from auditlake.disk.layout import FRAMEWORK_FILE, REPORT_FILE
from auditlake.forms import oscal_catalog
from auditlake.forms.table import FORMS
from auditlake.packs.files import shipped_ids, shipped_pack
from auditlake.retention.side_files import report_files
from auditlake.site.entries import Folder
from tests.cli.conftest import Run
from tests.forms import schemas

WRITTEN = {each.name: each.ending for each in FORMS if each.name != "pdf"}
"""Forms and endings; PDFs are tested by themselves, since each takes seconds."""
PERIOD = ("--as-of", "2026-11-24", "--last", "30d")
PACK = """
pack: 1
id: house
framework: House rules
edition: "2026"
publisher: us
about: What we ask of ourselves.
revision: 2026-09-01.1
recheck: 2027-01-01
status:
  - {from: 2026-01-01, state: in_force, cites: [S]}
sources:
  - {id: S, title: the board's decision, checked: primary}
policies:
  sign_ins: {name: Sign-ins, description: Sign-ins, required_events: [login, logout]}
controls:
  - {id: "12(1)", title: Sign-ins are recorded, shows: logging, policies: [sign_ins], cites: [S]}
  - {id: "12.1", title: Staff are trained, shows: nothing, cites: [S]}
"""


@pytest.fixture
def lake(filled: AuditLake) -> AuditLake:
    """A lake with a policy that finds something, and a pack."""
    filled.layout.packs.mkdir()
    filled.layout.pack("house").write_text(PACK)
    filled.layout.frameworks.write_text("packs:\n  house: {revision: 2026-09-01.1}\n")
    return auditlake.open(filled.layout.root)


def test_every_form_of_policies_and_frameworks(run: Run, lake: AuditLake) -> None:
    """A report has a file of each form, of both kinds; written again they are the same, and the index counts none."""
    asked = ("report", "failed_logins", "--framework", "house", *PERIOD, "--format", ",".join(WRITTEN), "--json")
    first = run(*asked).json
    files = {each["policy_id"]: each["files"] for each in first["reports"]}
    files["house"] = [each for each in first["frameworks"][0]["files"] if "/control_" not in each]
    for paths in files.values():
        stem = paths[0].removesuffix(".json")
        assert {*paths} == {f"{stem}.{ending}" for ending in WRITTEN.values()}
        for name, ending in WRITTEN.items():
            data = Path(f"{stem}.{ending}").read_bytes()
            assert schemas.FAULTS.get(name, lambda _: [])(data) == []
    others = re.compile("^index|_(latest|trend).html$")
    before = {path: path.read_bytes() for path in lake.layout.reports.iterdir() if not others.search(path.name)}
    assert run(*asked).json == first
    assert {path: path.read_bytes() for path in before} == before
    written = {path for path in lake.layout.reports.glob("[cf]*.*") if not others.search(path.name)}
    assert written == {*report_files(lake.layout)}
    assert all(REPORT_FILE.match(path.name) or FRAMEWORK_FILE.match(path.name) for path in before)
    folder = Folder.at(lake.layout.reports)
    names = [each.stem for key in folder.groups for each in folder.reports(key)]
    assert sorted(names) == sorted(Path(paths[0]).stem for paths in files.values())


def test_one_form_is_printed(run: Run, lake: AuditLake) -> None:
    """``--out -`` prints the form of what was asked for, one after the other where that is one text, and no file."""
    asked = ("report", "failed_logins", *PERIOD, "--out", "-", "--format")
    wanted = lake.report("failed_logins", as_of="2026-11-24", last="30d")
    assert run(*asked, "csv").out.encode() == wanted.to("csv")
    assert json.loads(run(*asked, "json", "--form", "1").out)["report_version"] == 1
    both = run(*asked, "text", "--framework", "house", "--fail-on", "fail")
    assert both.code == 1
    assert [each in both.out for each in ("Failed Logins: Violation", "House rules 2026: Not met")] == [True, True]
    lines = run(*asked, "ocsf", "--framework", "house").out.splitlines()
    assert [json.loads(line)["compliance"]["requirements"] for line in lines] == [
        ["failed_logins"],
        ["12(1)"],
        ["12.1"],
    ]
    for wrong in (("csv,text",), ("csv", "--framework", "house"), ("text", "--json")):
        said = run(*asked, *wrong)
        assert (said.code, said.out) == (2, "")
    assert not lake.layout.reports.exists() or not [*lake.layout.reports.iterdir()]
    assert run("report", "failed_logins", "--format", "docx").code == 2


def test_results_name_the_controls_of_the_catalogue(run: Run, lake: AuditLake, tmp_path: Path) -> None:
    """A pack's catalogue fits its schema, and has each control and statement that the results are about."""
    assert run("pack", "export", "house", "--format", "oscal", "--out", "c.json", "--json").json == {
        "pack_id": "house", "format": "oscal", "out": "c.json",
    }  # fmt: skip
    catalogue = (tmp_path / "c.json").read_bytes()
    assert run("pack", "export", "house", "--format", "oscal").out.encode() == catalogue
    assert schemas.oscal(catalogue) == []
    results = lake.frameworks.report("house", as_of="2026-11-24").to("oscal", plan="./plan.json")
    ids = {value for name, value in schemas.named(json.loads(catalogue)) if name == "id"}
    about = {value for name, value in schemas.named(json.loads(results)) if name in {"control-id", "target-id"}}
    assert len(about) == 4
    assert about <= ids
    assert run("pack", "export", "house", "--format", "docx").code == 2
    assert run("pack", "export", "house", "--format", "oscal", "--json").code == 2


def test_catalogues_of_every_pack_that_ships() -> None:
    """Each is a catalogue of OSCAL."""
    assert len(shipped_ids()) > 10
    for name in shipped_ids():
        assert schemas.oscal(oscal_catalog.render(shipped_pack(name))) == [], name


def test_constraints_of_oscal(lake: AuditLake, tmp_path: Path) -> None:
    """What OSCAL asks beyond its JSON Schema holds for results and catalogue, too."""
    validator = pytest.importorskip("oscal_validate", reason="oscal-validate needs Python 3.12")
    made = {"results": lake.frameworks.report("house", as_of="2026-11-24").to("oscal", plan="catalogue.json"),
            "catalogue": oscal_catalog.render(lake.packs.get("house"))}  # fmt: skip
    for name, data in made.items():
        (tmp_path / f"{name}.json").write_bytes(data)
    for name, others in (("results", ["catalogue"]), ("catalogue", [])):
        found = validator.validate_file(tmp_path / f"{name}.json", [tmp_path / f"{other}.json" for other in others])
        assert [str(each) for each in found if each.severity.name in {"ERROR", "WARNING"}] == []


def test_checks_say_sarif(run: Run, lake: AuditLake) -> None:
    """Mistakes and failed tests have their file, line and column; the exit code is that of the check."""
    policies = lake.layout.policies
    (policies / "tried.yaml").write_text(
        "name: T\ndescription: T\nrequired_events: [login]\nalert_threshold: 1\ntests:\n- name: finds one\n"
        "  as_of: 2026-11-24T00:00:00Z\n  events: []\n  expect: {status: violation}\n"
    )
    said = run("policy", "check", "tried", "--format", "sarif")
    assert (said.code, schemas.sarif(said.out.encode())) == (1, [])
    assert places(said.out) == [("policy-test", "lake/policies/tried.yaml", {"startLine": 6})]
    (policies / "bad name.yaml").write_text("")
    (policies / "wrong.yaml").write_text("name: x\nrequired_evnts: [login]\nalert_threshold: z\n")
    for named in ((), ("lake/policies/wrong.yaml",)):
        said = run("policy", "check", *named, "--format", "sarif")
        assert (said.code, schemas.sarif(said.out.encode())) == (3, [])
        found = places(said.out)
        assert ("policy-file", "lake/policies/wrong.yaml", {"startLine": 2, "startColumn": 1}) in found
        assert ("policy-file", "lake/policies/wrong.yaml", {"startLine": 3, "startColumn": 18}) in found
    lake.layout.pack("house").write_text(PACK.replace("recheck", "rechek"))
    said = run("pack", "check", "--format", "sarif")
    assert (said.code, schemas.sarif(said.out.encode())) == (1, [])
    assert {(rule, uri) for rule, uri, _ in places(said.out)} == {("pack-file", "lake/packs/house.yaml")}
    assert run("pack", "check", "--format", "sarif", "--json").code == 2
    assert run("policy", "check", "nothing", "--format", "sarif").code == 3


def test_sarif_of_nothing(run: Run, lake: AuditLake) -> None:
    """Where nothing is wrong the log has no result."""
    for command, name in (("policy", "house--sign_ins"), ("pack", "house")):
        said = run(command, "check", name, "--format", "sarif")
        assert (said.code, schemas.sarif(said.out.encode()), places(said.out)) == (0, [], [])


def places(log: str) -> list[tuple[str, str, dict[str, int]]]:
    """The rule, the file and the place of each result."""
    (made,) = json.loads(log)["runs"]
    where = [each["locations"][0]["physicalLocation"] for each in made["results"]]
    return [
        (each["ruleId"], at["artifactLocation"]["uri"], at["region"])
        for each, at in zip(made["results"], where, strict=True)
    ]
