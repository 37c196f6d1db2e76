"""Build the wheel, install it into an environment of its own away from the checkout, and use it there.

Run by ``make wheel``. The dependencies are those of the running environment, so nothing is fetched.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command to its end and give what it printed."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    """Build, install, use."""
    with tempfile.TemporaryDirectory(prefix="auditlake-wheel-") as name:
        work = Path(name)
        run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--sdist", "--outdir", work, ROOT, cwd=ROOT)
        (wheel,) = work.glob("*.whl")
        shipped(wheel)
        python = installed(work, wheel)
        used(work, python)
    print("the wheel carries all SQL and templates, and works away from the checkout")


def shipped(wheel: Path) -> None:
    """The wheel holds every statement and every template of the checkout, and no tests."""
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("sql", "reports_templates"):
        for file in (ROOT / folder).rglob("*"):
            inside = f"auditlake/_assets/{file.relative_to(ROOT).as_posix()}"
            if file.is_file() and inside not in names:
                sys.exit(f"{file} is not in the wheel")
    for name in ("policies/policy.schema.json", "packs/pack.schema.json", "packs/shipped/pci-dss-4.yaml",
                 "templates/shipped/letter.html.j2"):  # fmt: skip
        if f"auditlake/{name}" not in names:
            sys.exit(f"{name} is not in the wheel")
    if strangers := [name for name in names if not name.startswith(("auditlake/", "auditlake-"))]:
        sys.exit(f"the wheel holds more than the package: {strangers[:5]}")


def installed(work: Path, wheel: Path) -> Path:
    """An environment that has the wheel, and this environment's packages but not its editable auditlake."""
    run(sys.executable, "-m", "venv", "--without-pip", work / "env", cwd=work)
    python = work / "env" / "bin" / "python"
    inner = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=work).strip())
    outer = run(sys.executable, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=work).strip()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(inner)
    # A plain path entry: it is searched after the wheel, and its .pth files (the editable install) are not read.
    (inner / "dependencies.pth").write_text(f"{outer}\n")
    return python


def used(work: Path, python: Path) -> None:
    """From an empty folder: a lake, an ingest, a report of each kind, and every page of the documentation."""
    where = run(python, "-c", "import auditlake; print(auditlake.__file__)", cwd=work).strip()
    if not where.startswith(str(work)):
        sys.exit(f"not the wheel is used but {where}")
    event = {"event_type": "auth_failure", "timestamp": "2026-11-24T09:30:00Z", "user_id": "alice"}
    (work / "events.jsonl").write_text("".join(json.dumps(event | {"event_id": str(i)}) + "\n" for i in range(9)))
    lake = [python, "-m", "auditlake", "--lake", work / "lake"]
    for topic in json.loads(run(*lake, "docs", "--json", cwd=work))["topics"]:
        run(*lake, "docs", topic["name"], cwd=work)
    run(*lake, "init", cwd=work)
    landed = json.loads(run(*lake, "ingest", "events.jsonl", "--json", cwd=work))
    made = json.loads(run(*lake, "report", "--as-of", "2026-11-24T12:00:00Z", "--json", cwd=work))
    statuses = {each["policy_id"]: each["status"] for each in made["reports"]}
    if landed["landed"] != 9 or statuses["failed_logins"] != "violation":
        sys.exit(f"the wheel does not work: {landed}, {statuses}")
    if not all(Path(file).is_file() for each in made["reports"] for file in each["files"]):
        sys.exit("a report was not written")


if __name__ == "__main__":
    main()
