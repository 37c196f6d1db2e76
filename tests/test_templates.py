"""Templates that people write: what they may use, what they cannot do, and what becomes of those that fail."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from auditlake.disk.layout import Layout
from auditlake.errors import ReportError
from auditlake.site.beside import Wanted, source_of, write_beside
from auditlake.templates import fill
from auditlake.templates.files import TemplateFolder, read_templates
from auditlake.templates.fill import Filler
from tests.confined.test_worker import is_alive
from tests.site import samples as frameworks

REPORT = {
    "policy_name": "<Failed> & \u202eLogins", "as_of": "2026-10-01T08:00:00.000000Z", "nothing": None,
    "number": 1234567, "violations": [{"message": "=1+1, x"}, {"message": "ask @octocat"}], "period": {"since": "s"},
}  # fmt: skip
ABOUT = {"kind": "policy", "title": "Failed Logins", "verdict": "Violation", "sentence": "Two.", "stem": "compliance_x"}
DATA = json.dumps(REPORT).encode()
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


@pytest.fixture(scope="module")
def filler() -> Iterator[Filler]:
    with Filler(TemplateFolder(Path("templates"), (), {}, {}, {})) as made:
        yield made


def filled(filler: Filler, text: str, file: str = "note.txt.j2", **others: str) -> str | None:
    """What a template gives for the report."""
    name, ending, _ = file.split(".")
    filler.folder = replace(
        filler.folder, sources={file: text, **others}, pictures={"logo.png": "data:image/png;base64,eA=="}
    )
    made = filler.fill(fill.Template(name, ending, file), DATA, ABOUT)
    assert made is None or made.ending == f"{name}.{ending}"
    return None if made is None else made.data.decode()


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("a.txt.j2", "{{ report.policy_name }}|{{ kind }}|{{ stem }}", "<Failed> & \\u202eLogins|policy|compliance_x"),
        ("a.csv.j2", "{% for a in report.violations %}{{ a.message|csv }};{% endfor %}", "\"'=1+1, x\";ask @octocat;"),
        ("a.txt.j2", "{{ report.number|count }} {{ report.violations|count('finding') }}", "1,234,567 2 findings"),
        ("a.txt.j2", "{{ report.as_of|moment }} [{{ report.nothing }}]", "2026-10-01 08:00:00 UTC []"),
        ("a.txt.j2", "{{ '- [x](y)'|md }} {{ '1. *b*'|md }}", "\\- \\[x\\](y) 1\\. \\*b\\*"),
        ("a.txt.j2", "{{ '@octocat'|md }} {{ '<b>&'|xml }}", "<code>@octocat</code> &lt;b&gt;&amp;"),
        ("a.txt.j2", "{{ pictures['logo.png'] }} {{ [none]|tojson }}", "data:image/png;base64,eA== [null]"),
        ("a.json.j2", "{{ report.period|tojson }}", '{"since": "s"}'),
    ],
)  # fmt: skip
def test_what_a_template_gives(filler: Filler, file: str, text: str, expected: str) -> None:
    """Values, filters, and characters that are spelled out; a form without comments has nothing but what it gives."""
    assert filled(filler, text, file) == expected


@pytest.mark.parametrize(
    ("file", "text", "lines"),
    [
        ("a.html.j2", "{{ report.policy_name }}", ["<!-- {} -->", "&lt;Failed&gt; &amp; \\u202eLogins"]),
        ("a.html.j2", "{{ report.policy_name|csv }}", ["<!-- {} -->", "&lt;Failed&gt; &amp; \\u202eLogins"]),
        ("a.xml.j2", "<?xml a='1'?>\n{{ '<'|xml }}{{ '<' }}", ["<?xml a='1'?>", "<!-- {} -->", "&lt;&lt;"]),
        ("a.md.j2", "# x", ["<!-- {} -->", "# x"]),
        ("a.yaml.j2", "x: 1", ["# {}", "x: 1"]),
        ("a.sh.j2", "#!/bin/sh\ntrue", ["#!/bin/sh", "# {}", "true"]),
        ("a.tex.j2", "x", ["% {}", "x"]),
    ],
)  # fmt: skip
def test_the_first_lines_say_of_what(filler: Filler, file: str, text: str, lines: list[str]) -> None:
    """Where the form has comments, one says of which report it was made; only what must be first stands before it."""
    said = f"made by auditlake of the report {DIGEST} with the template a; not evidence"
    assert (filled(filler, text, file) or "").splitlines() == [line.replace("{}", said) for line in lines]


def test_parts_and_nothing(filler: Filler) -> None:
    """A template includes parts of its folder; one that gives nothing but space makes no file."""
    part = {"part.html.j2": "<b>{{ title }}</b>"}
    assert "<b>Failed Logins</b>" in (filled(filler, "{% include 'part.html.j2' %}", "a.html.j2", **part) or "")
    assert filled(filler, "{% if kind == 'framework' %}x{% endif %}\n") is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("\n{{ ''.__class__.__mro__ }}", "line 2: access to attribute '__class__' of 'str' object is unsafe."),
        ("{{ '{0.__class__}'.format(report) }}", "line 1: access to attribute '__class__'"),
        ("{{ report.update({'a': 1}) }}", "line 1: access to attribute 'update' of 'dict' object is unsafe."),
        ("{{ report.violations.append(1) }}", "line 1: access to attribute 'append' of 'list' object is unsafe."),
        ("{{ cycler.__init__.__globals__ }}", "line 1: access to attribute '__init__'"),
        ("{% include '../../../etc/passwd' %}", "line 1: there is no ../../../etc/passwd in the folder of templates"),
        ("{% include '/etc/passwd' %}", "line 1: there is no /etc/passwd in the folder of templates"),
        ("{% include 'note.txt.j2' %}", "line 1: it goes around in circles"),
        ("{{ report.no_such_key }}", "line 1: 'dict object' has no attribute 'no_such_key'"),
        ("x\n{{ report.", "line 2: expected name or number"),
        ("{{ 1 // 0 }}", "line 1: ZeroDivisionError"),
        ("{{ 1|random }}", "line 1: No filter named 'random'."),
        ("{{ lipsum() }}", "line 1: 'lipsum' is undefined"),
        ("{{ '%1000000000d' % 1 }}", "it needed more memory than it may have"),
        ("{{ 'a' * (10**8 * report.violations|length) }}", "gives more than 32 MB"),
        ("{% for a in range(90000) %}{{ 'a' * 1000 }}{% endfor %}", "gives more than 32 MB"),
    ],
)  # fmt: skip
def test_bombs_and_attacks(filler: Filler, text: str, why: str) -> None:
    """Each gives one error with its place, and the next template is filled."""
    with pytest.raises(ReportError) as refused:
        filled(filler, text)
    assert str(refused.value).startswith("the template note.txt.j2")
    assert why in str(refused.value)
    assert "512 MB" in refused.value.hint
    filler._stopped.clear()
    assert filled(filler, "x") == "x"


def test_one_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A template that never ends is killed at its deadline with its process, and not tried with another report."""
    monkeypatch.setattr(fill, "LIMITS", replace(fill.LIMITS, seconds=0.2))
    with Filler(TemplateFolder(Path("templates"), (), {}, {}, {})) as filler:
        assert filled(filler, "x", "fine.txt.j2") == "x"
        child = filler._worker._child.pid
        endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
        for why in ("it took longer than it may", "it came to a limit with an earlier report, and was not tried again"):
            with pytest.raises(ReportError, match=f"the template note.txt.j2: {why}"):
                filled(filler, endless)
        assert not is_alive(child)
        assert filled(filler, "x", "fine.txt.j2") == "x"


def test_the_folder(tmp_path: Path) -> None:
    """What is no template is passed over; a file that cannot be read is a fault of its own."""
    layout = Layout(tmp_path)
    (tmp_path / "outside.txt").write_text("secret")
    layout.templates.mkdir()
    for name, data in {
        "a.html.j2": b"\xef\xbb\xbfx", "a.md.j2": b"x", "_part.html.j2": b"x", "notes.txt": b"x", "logo.svg": b"<svg/>",
        "bad.txt.j2": b"\xff", "large.txt.j2": b"x" * (1 << 20 | 1),
    }.items():  # fmt: skip
        (layout.templates / name).write_bytes(data)
    (layout.templates / "linked.txt.j2").symlink_to(tmp_path / "outside.txt")

    found = read_templates(layout)

    assert [each.file for each in found.named("a")] == ["a.html.j2", "a.md.j2"]
    assert found.sources == {"a.html.j2": "x", "a.md.j2": "x", "_part.html.j2": "x"}
    assert found.pictures == {"logo.svg": "data:image/svg+xml;base64,PHN2Zy8+"}
    assert sorted(found.faults) == ["bad.txt.j2", "large.txt.j2", "linked.txt.j2"]
    with pytest.raises(ReportError, match="no template 'b'"):
        found.named("b")
    with Filler(found) as filler, pytest.raises(ReportError, match=r"the template bad\.txt\.j2: this is not UTF-8"):
        filler.fill(found.named("bad")[0], DATA, ABOUT)


def test_what_is_made_is_written_over(tmp_path: Path) -> None:
    """What a template made of a report is written over; where another report has the name, a digest is in it."""
    _, policy = frameworks.made()
    template = fill.Template("note", "txt", "note.txt.j2")
    for text in ("first", "second"):
        folder = TemplateFolder(tmp_path, (template,), {"note.txt.j2": text}, {}, {})
        source = source_of(policy, (), tmp_path, pdf=False, annex=True)
        written, faults = write_beside([source], tmp_path, Wanted((template,), folder))
        assert (written, faults) == ([(tmp_path / f"{policy.stem}.note.txt",)], ())
        assert written[0][0].read_text() == text
    (tmp_path / f"{policy.stem}.json").write_text("of another report")
    other = source_of(policy, (), tmp_path, pdf=False, annex=True).judgement.stem
    assert other == f"{policy.stem}_{hashlib.sha256(policy.json()).hexdigest()[:12]}"
