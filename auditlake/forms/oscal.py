"""OSCAL 1.2.3 assessment results, for governance tools: a finding a control, an observation a check.

OSCAL knows two states of a finding. What is neither met nor failed is ``not-satisfied`` for the reason ``other``, and
the property ``status`` has the true word.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from auditlake.display.canonical_json import instant
from auditlake.display.text import count
from auditlake.forms.model import Check, FormOptions, Item, Judgement
from auditlake.forms.oscal_words import (
    Json,
    line,
    metadata,
    one_line,
    properties,
    resource,
    statement_of,
    time,
    tokens,
)
from auditlake.forms.words import OUTCOME_WORDS, subject
from auditlake.forms.writing import identified, identity, written

_STATES = {"pass": ("satisfied", "pass"), "fail": ("not-satisfied", "fail")}
_OTHER_STATE = ("not-satisfied", "other")
_METHODS = {"review": "EXAMINE", "response": "EXAMINE"}
"""How a check looks; events and auditlake's own records are tested."""
_IDS = 200
"""How many ids of findings an observation names; the JSON has all of them."""


def render(judgement: Judgement, options: FormOptions) -> bytes:
    """Return the assessment results; every identifier follows from the report."""
    return written({"assessment-results": _Results(judgement).document(options)})


class _Results:
    """The parts of one document, which name one another by their identifiers."""

    def __init__(self, judgement: Judgement) -> None:
        self._report = judgement
        self._id = partial(identified, "oscal", *identity(judgement))
        self._tokens: Mapping[str, str] = tokens(
            judgement.id if judgement.kind == "framework" else "", [each.id for each in judgement.items]
        )
        self._applying = [each for each in judgement.items if each.outcome != "not_applicable"]

    def document(self, options: FormOptions) -> Json:
        """Return the whole."""
        report = self._report
        about = properties({
            report.kind: report.id, "edition": report.edition, "revision": report.revision, "digest": report.digest,
            "framework-state": report.state, "lake": report.lake_id, "snapshot": report.snapshot,
            "as-of": instant(report.as_of),
        })  # fmt: skip
        title = f"{line(subject(report))}: assessment of an audit trail"
        return {
            "uuid": self._id("document", options.plan or ""),
            "metadata": metadata(title, report.generated_at, str(report.snapshot), about, role="assessor"),
            "import-ap": {
                "href": options.plan or f"#{self._id('rules')}",
                "remarks": None if options.plan else "There is no plan in OSCAL: the rules are those of this file.",
            },
            "results": [self._result()],
            "back-matter": {"resources": [*self._resources()]},
        }  # fmt: skip

    def _result(self) -> Json:
        report = self._report
        return {
            "uuid": self._id("result"), "title": line(subject(report)),
            "description": f"{line(report.verdict)}. {line(report.sentence)}",
            "start": instant(report.since), "end": instant(report.until),
            "props": properties({"status": report.status, "verdict": report.verdict}),
            "local-definitions": {"components": self._components()},
            "reviewed-controls": self._reviewed(),
            "assessment-log": self._log(),
            "observations": [each for item in self._applying for each in self._observations(item)] or None,
            "risks": [risk for item in self._applying for risk in self._risks(item)] or None,
            "findings": [self._finding(each) for each in self._applying] or None,
        }  # fmt: skip

    def _components(self) -> list[Json]:
        report = self._report
        return [
            {"uuid": self._id("tool"), "type": "software", "title": "auditlake",
             "description": "The program that judged the events and the records of the lake.",
             "status": {"state": "operational"}},
            {"uuid": self._id("lake"), "type": "this-system", "title": f"Lake {report.lake_id}",
             "description": f"The audit trail, at its snapshot {report.snapshot}.",
             "props": properties({"lake": report.lake_id, "snapshot": report.snapshot}),
             "status": {"state": "operational"}},
        ]  # fmt: skip

    def _reviewed(self) -> Json:
        included = [{"control-id": self._tokens[each.id]} for each in self._applying]
        left_out = [f"{line(each.id)}: {line(each.reason)}" for each in self._report.items
                    if each.outcome == "not_applicable"]  # fmt: skip
        return {
            "control-selections": [
                {"include-controls": included} if included else {"description": "No control applies."}
            ],
            "remarks": f"Not applicable: {'; '.join(left_out)}" if left_out else None,
        }

    def _log(self) -> Json | None:
        entries = [
            {"uuid": self._id("run", each.id), "title": f"Run {each.number} ({one_line(each.verb)})",
             "start": instant(each.at), "end": instant(each.finished),
             "props": properties({"status": each.packs[self._report.id].status, "snapshot": each.snapshot})}
            for each in self._report.runs
        ]  # fmt: skip
        return {"entries": entries} if entries else None

    # What was looked at

    def _observations(self, item: Item) -> list[Json]:
        made = [self._observation(item, number, check) for number, check in enumerate(item.checks)]
        if (said := item.statement) is not None and item.basis == "statement":
            about = {"statement": said.number, "status": item.status, "by": said.by, "result": said.result}
            files = [("evidence", f"{each.name} sha256:{each.sha256}") for each in said.evidence]
            made.append({
                "uuid": self._id("statement", item.id), "title": f"Statement on {line(item.id)}",
                "description": line(said.note), "props": properties(about, also=files), "methods": ["INTERVIEW"],
                "types": ["control-objective"], "collected": instant(said.at), "expires": time(said.until),
            })  # fmt: skip
        return made

    def _observation(self, item: Item, number: int, check: Check) -> Json:
        found, name = check.findings[:_IDS], f"{check.kind} {check.policy}".strip()
        left = len(check.findings) - len(found)
        return {
            "uuid": self._id("observation", item.id, str(number)), "title": f"{line(item.id)}: {line(name)}",
            "description": line(check.reason),
            "props": properties(
                {"check": check.kind, "policy": check.policy, "status": check.status},
                also=[("finding-id", each.id) for each in found],
            ),
            "methods": [_METHODS.get(check.kind, "TEST")], "types": ["control-objective"],
            "origins": [{"actors": [{"type": "tool", "actor-uuid": self._id("tool")}]}],
            "subjects": [{"subject-uuid": self._id("lake"), "type": "component"}],
            "relevant-evidence": [{"href": f"#{self._id('report')}", "description": "The report as JSON."}],
            "collected": instant(self._report.as_of),
            "remarks": f"{count(left, 'more finding')} in the report." if left else None,
        }  # fmt: skip

    # How controls stand

    def _finding(self, item: Item) -> Json:
        state, reason = _STATES.get(item.outcome, _OTHER_STATE)
        observed = [each["uuid"] for each in self._observations(item)]
        return {
            "uuid": self._id("finding", item.id), "title": line(f"{item.id} {item.title}"),
            "description": line(item.reason),
            "props": properties({"status": item.status, "shows": item.shows, "basis": item.basis}),
            "target": {
                "type": "statement-id", "target-id": statement_of(self._tokens[item.id]),
                "status": {"state": state, "reason": reason, "remarks": OUTCOME_WORDS[item.outcome]},
            },
            "related-observations": [{"observation-uuid": each} for each in observed] or None,
            "related-risks": [{"risk-uuid": each["uuid"]} for each in self._risks(item)] or None,
            "remarks": line(f"A pass does not say: {item.says_not}") if item.says_not else None,
        }  # fmt: skip

    def _risks(self, item: Item) -> list[Json]:
        if item.outcome not in ("fail", "exception"):
            return []
        observed = [each["uuid"] for each in self._observations(item)]
        ends = self._deadline(item)
        return [{
            "uuid": self._id("risk", item.id), "title": line(f"{item.id} {item.title}"),
            "description": line(item.reason),
            "statement": line(item.says and f"It is not shown that: {item.says}", "It is not shown to be met."),
            "props": properties({"severity": item.severity}),
            "status": "open" if item.outcome == "fail" else "deviation-approved",
            "deadline": time(ends) if ends else None,
            "related-observations": [{"observation-uuid": each} for each in observed] or None,
        }]  # fmt: skip

    def _deadline(self, item: Item) -> datetime | None:
        """Return when the first of the decisions ends that let a control pass by exception."""
        if item.outcome != "exception":
            return None
        ends = [each.accepted.until for each in item.findings if each.accepted] + [e.until for e in item.weakenings]
        return min(ends, default=None)

    def _resources(self) -> list[Json]:
        report = self._report
        json_file = resource(self._id("report"), "The report", f"{report.stem}.json", "application/json", report.report)
        rules: Any = resource(
            self._id("rules"), f"The {'pack' if report.kind == 'framework' else 'policy'} that was judged by",
            f"{report.id}.yaml", "application/yaml", report.digest,
        )  # fmt: skip
        return [rules, json_file]
