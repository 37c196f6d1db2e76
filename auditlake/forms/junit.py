"""JUnit XML, for servers of continuous integration: a suite a report, a case a control.

There is no official schema; this is what ``junit-10.xsd`` of Jenkins' xUnit plugin takes.
"""

from __future__ import annotations

from collections import Counter
from xml.etree import ElementTree as ET

from auditlake.display.canonical_json import instant
from auditlake.display.text import count, visible
from auditlake.forms.model import FormOptions, Item, Judgement, Outcome
from auditlake.forms.words import subject

_ELEMENTS: dict[Outcome, str] = {
    "fail": "failure", "not_evaluated": "error", "no_data": "error", "exception": "skipped",
    "not_applicable": "skipped",
}  # fmt: skip
"""What a case has in it; one that passes has nothing."""
_LISTED = 100


def render(judgement: Judgement, _: FormOptions) -> bytes:
    """Return the report as XML 1.0 in UTF-8; characters that XML forbids are spelled out."""
    numbers = Counter(_ELEMENTS.get(each.outcome, "") for each in judgement.items)
    counted = {
        "tests": str(len(judgement.items)), "failures": str(numbers["failure"]), "errors": str(numbers["error"]),
        "time": "0",
    }  # fmt: skip
    root = ET.Element("testsuites", {"name": "auditlake", **counted})
    suite = ET.SubElement(root, "testsuite", {
        "name": visible(subject(judgement)), "package": judgement.id, "skipped": str(numbers["skipped"]),
        "timestamp": f"{judgement.as_of:%Y-%m-%dT%H:%M:%S}", **counted,
    })  # fmt: skip
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(judgement).items():
        ET.SubElement(properties, "property", {"name": name, "value": visible(value)})
    for item in judgement.items:
        _case(suite, judgement, item)
    ET.indent(root)
    data: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return data + b"\n"


def _properties(judgement: Judgement) -> dict[str, str]:
    named = {
        "pack": judgement.id if judgement.kind == "framework" else "",
        "policy": judgement.id if judgement.kind == "policy" else "",
        "revision": judgement.revision, "digest": judgement.digest, "state": judgement.state,
        "verdict": judgement.verdict, "since": instant(judgement.since), "until": instant(judgement.until),
        "as_of": instant(judgement.as_of), "lake": judgement.lake_id, "snapshot": str(judgement.snapshot),
        "report": judgement.report,
    }  # fmt: skip
    return {name: value for name, value in named.items() if value}


def _case(suite: ET.Element, judgement: Judgement, item: Item) -> None:
    name = f"{item.id} {item.title}" if judgement.kind == "framework" else item.title
    case = ET.SubElement(suite, "testcase", {"name": visible(name), "classname": judgement.id, "time": "0"})
    if element := _ELEMENTS.get(item.outcome):
        made = ET.SubElement(case, element, {"type": item.status, "message": visible(item.reason)})
        if element != "skipped":
            made.text = "\n".join(_lines(item))
    shown = [f"status: {item.status}", f"a log shows: {item.shows}" if item.shows else "",
             f"basis: {item.basis}" if item.basis else "", *(visible(each) for each in item.reasons)]  # fmt: skip
    ET.SubElement(case, "system-out").text = "\n".join(filter(None, shown))


def _lines(item: Item) -> list[str]:
    lines = [f"{check.kind} {check.policy}".strip() + f": {check.status}: {check.reason}" for check in item.checks]
    found = [each for each in item.findings if each.accepted is None]
    lines += [f"{each.id} {each.kind}: {each.message}" for each in found[:_LISTED]]
    if found[_LISTED:]:
        lines.append(f"{count(len(found) - _LISTED, 'more finding')} in the JSON")
    return [visible(line) for line in lines or item.reasons]
