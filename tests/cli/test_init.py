"""``init`` writes one of three sets of policies, adds frameworks, and makes nothing if it cannot make all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

import auditlake
from auditlake.errors import LakeError
from auditlake.policies.files import SETS
from auditlake.testing import make_lake
from tests.cli.conftest import Run


@pytest.mark.parametrize("name", SETS)
def test_sets(run: Run, name: str) -> None:
    """The set that is named is in the lake, and what is printed names its policies."""
    done = run("init", "--policies", name, "--json").json
    names = sorted(file.stem for file in Path("lake/policies").iterdir())

    assert names == done["policies"] == [file.stem for file in SETS[name]]  # type: ignore[index]
    assert done["packs"] == []


def test_frameworks(run: Run) -> None:
    """A lake begins with the frameworks that are named, and says how many policies each has."""
    done = run("init", "--policies", "none", "--pack", "pci-dss-4", "--pack", "eu-ai-act", "--pack", "pci-dss-4")
    lake = auditlake.open("lake")

    assert done.code == 0
    assert "no policy judges it yet" in done.out
    assert "added pci-dss-4: 8 policies, 26 controls" in done.out
    assert [each.id for each in lake.packs] == ["eu-ai-act", "pci-dss-4"]


def test_a_framework_from_the_start_weakens_nothing(run: Run, events: Path) -> None:
    """What a first framework does not keep was never kept: no apply asks why, also once its parameters are set."""
    run("init", "--pack", "pci-dss-4")
    run("ingest", events)
    with Path("lake/frameworks.yaml").open("a") as settings:
        settings.write("    parameters: {keep: 2y}\n")

    assert run("policy", "list").code == 0
    assert run("retention", "apply", "--yes").code == 0
    assert run("verify").code == 0


def test_refused(run: Run, tmp_path: Path) -> None:
    """A framework or a set that is none leaves no lake behind."""
    pack = run("init", "--pack", "pci-dss-4", "--pack", "pci-dss-3")

    assert (pack.code, "did you mean pci-dss-4?" in pack.err) == (3, True)
    assert run("init", "--policies", "all").code == 2
    with pytest.raises(LakeError, match="no set of policies 'all'") as caught:
        auditlake.create(tmp_path / "lake", policies="all")  # type: ignore[arg-type]
    assert caught.value.hint == "there are: starter, llmguardian, none"
    assert not (tmp_path / "lake").exists()


def test_small_lakes_for_tests(tmp_path: Path) -> None:
    """A lake of auditlake.testing takes the name of a set or its own policies, and no others."""
    own = "name: n\ndescription: d\nrequired_events: [login]\n"

    assert [each.id for each in make_lake(tmp_path / "a", policies={"own": own}).policies] == ["own"]
    assert len(make_lake(tmp_path / "b", policies="llmguardian").policies.all()) == 3


def test_policy_new(run: Run) -> None:
    """A draft is printed; without a type, what the lake holds is; what has no data is told beside the draft."""
    auditlake.create("lake").ingest([{"event_type": "login", "timestamp": "2026-11-24T09:00:00Z", "user_id": "ana"}])
    listed, drafted = run("policy", "new"), run("policy", "new", "login", "logout")
    Path("drafted.yaml").write_text(drafted.out)

    assert "login" in listed.out
    assert (listed.code, drafted.code) == (0, 0)
    assert "no data: the lake has no event of logout" in drafted.err
    assert run("policy", "add", "drafted.yaml").code == 0
    assert run("policy", "new", "logn").code == 3
