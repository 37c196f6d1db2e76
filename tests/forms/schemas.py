"""What the real schemas say of a form, offline: see schemas/README.md."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft4Validator, Draft7Validator, Draft202012Validator
from lxml import etree

from tests.export import schema as ocsf_schema

FOLDER = Path(__file__).parent / "schemas"
DIGESTS = {
    "oscal_complete_schema-1.2.3.json.gz": "384324105c7a817af0f65b120a963146caa0e0d55d969cf0daf60e063b87a206",
    "sarif-schema-2.1.0.json.gz": "c3b4bb2d6093897483348925aaa73af03b3e3f4bd4ca38cef26dcb4212a2682e",
    "exec-json.json": "e0062a32f2117d972d4502a280b20c63833c550e2c6319486531c23ad6eaed09",
    "junit-10.xsd": "a1a816f58d1bf95ebabf371994df0b9246dee66ea9572fbec4f9296f1b2c0ff6",
}
"""SHA-256 of each file as its publisher has it."""


@cache
def published(name: str) -> bytes:
    """A schema as its publisher has it."""
    data = (FOLDER / name).read_bytes()
    whole = gzip.decompress(data) if name.endswith(".gz") else data
    assert hashlib.sha256(whole).hexdigest() == DIGESTS[name], f"{name} is not what was published"
    return whole


@cache
def _json_schema(name: str, draft: Any) -> Any:
    return draft(json.loads(published(name)), validate_formats=True)


def _against(name: str, draft: Any, data: bytes) -> list[str]:
    errors = _json_schema(name, draft).iter_errors(json.loads(data))
    return [f"{'/'.join(map(str, each.instance_path))}: {each.message[:300]}" for each in errors]


def oscal(data: bytes) -> list[str]:
    """What is wrong with an OSCAL document: its schema, identifiers that are not unique, and those of nothing.

    And a resource without a place, of which NIST's constraints warn.
    """
    document = json.loads(data)
    made = [value for name, value in named(document) if name == "uuid"]
    used = [value for name, value in named(document) if name.endswith("-uuid")]
    used += [value[1:] for name, value in named(document) if name == "href" and value.startswith("#")]
    made += [value for name, value in named(document) if name == "id"]
    twice = [f"twice: {each}" for each in set(made) if made.count(each) > 1]
    return (
        _against("oscal_complete_schema-1.2.3.json.gz", Draft7Validator, data)
        + twice
        + [f"of nothing: {each}" for each in used if each not in made]
    )


def named(value: Any) -> Iterator[tuple[str, str]]:
    """Every text of a document that has a name."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from ((name, one) for one in (each if isinstance(each, list) else [each]) if isinstance(one, str))
            yield from named(each)
    elif isinstance(value, list):
        for each in value:
            yield from named(each)


def ocsf(data: bytes) -> list[str]:
    """What is wrong with compliance findings of OCSF 1.8.0."""
    events = [json.loads(line) for line in data.splitlines()]
    versions = {event["metadata"]["version"] for event in events}
    return [fault for event in events for fault in ocsf_schema.faults(event)] + [*(versions - {"1.8.0"})]


def hdf(data: bytes) -> list[str]:
    """What is wrong with HDF."""
    return _against("exec-json.json", Draft202012Validator, data)


def sarif(data: bytes) -> list[str]:
    """What is wrong with SARIF 2.1.0."""
    return _against("sarif-schema-2.1.0.json.gz", Draft4Validator, data)


def junit(data: bytes) -> list[str]:
    """What is wrong with a report of JUnit: its schema, and numbers that are not those of the cases."""
    judge, document = _xsd("junit-10.xsd"), etree.fromstring(data)
    faults = [] if judge.validate(document) else [str(each) for each in judge.error_log]
    for suite in document.iter("testsuite", "testsuites"):
        numbers = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}
        counted = {name: str(len(list(suite.iter(tag)))) for name, tag in numbers.items() if name in suite.attrib}
        faults += [f"{name} is {suite.get(name)}, not {n}" for name, n in counted.items() if suite.get(name) != n]
    return faults


@cache
def _xsd(name: str) -> Any:
    return etree.XMLSchema(etree.fromstring(published(name)))


FAULTS: dict[str, Callable[[bytes], list[str]]] = {"junit": junit, "oscal": oscal, "ocsf": ocsf, "hdf": hdf}
"""What is wrong, by the form's name; forms without a schema of somebody else are not in it."""
