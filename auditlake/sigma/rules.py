"""Rules, filters and correlations as pySigma reads them, each by itself: one bad document stops no other."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from auditlake.disk.files import SMALL, read_file
from auditlake.errors import SourceError
from auditlake.sigma.model import Origin, Rule
from auditlake.yaml_reader import digest_of

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ENDS = (".yml", ".yaml")
_KEYS = ("detection", "correlation", "filter")
"""A document of which none of these is a key is nothing of Sigma's."""


def read_rules(paths: Sequence[Path]) -> list[Rule]:
    """Read rule files, apply the filters among them, and find the rules that correlations name.

    Args:
        paths: Files, and folders that are read with all below them.

    Returns:
        Every rule, in the order of the files; those that cannot be used with their fault.

    Raises:
        SourceError: A path is not there or cannot be read, or pySigma is not installed.
    """
    _require_sigma()
    rules: list[Rule] = []
    filters: list[Rule] = []
    for path, shown in _files(paths):
        for rule in _rules_of(path, shown):
            is_filter = type(rule.parsed).__name__ == "SigmaFilter" and not rule.fault
            (filters if is_filter else rules).append(rule)
    return _resolved([_filtered(rule, filters) for rule in _once(rules)])


def _require_sigma() -> None:
    try:
        import sigma.collection  # noqa: F401 - is it there?
    except ImportError as error:
        message = "Sigma rules are read by pySigma, which is not installed"
        raise SourceError(message, hint="pip install 'auditlake[sigma]'") from error


def _files(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield every rule file with its name relative to the folder that was named."""
    for path in paths:
        if path.is_dir():
            below = sorted(each for each in path.rglob("*") if each.suffix in _ENDS and each.is_file())
            yield from ((each, each.relative_to(path).as_posix()) for each in below)
        elif path.exists():
            yield path, path.name
        else:
            raise SourceError(f"{path} is not there", hint="name rule files of Sigma, or a folder of them")


def _rules_of(path: Path, shown: str) -> Iterator[Rule]:
    """Yield the rules of a file; where it cannot be read, one with that fault."""
    try:
        content = read_file(path, limit=SMALL)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or os.strerror(error.errno or 0)}") from error
    origin = Origin(shown, digest_of(content))
    try:
        documents = [each for each in yaml.load_all(content, Loader=_LOADER) if each is not None]
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        why = " ".join(str(error).replace(' in "<byte string>",', " at").split())
        yield Rule(None, path.stem, "", (origin,), fault=f"it is no YAML: {why}")
        return
    if any(isinstance(each, Mapping) and {*_KEYS} & {*each} for each in documents):
        yield from _parsed(documents, path.stem, origin)


def _parsed(documents: list[Any], stem: str, origin: Origin) -> Iterator[Rule]:
    from sigma.collection import SigmaCollection

    extras = [each for each in documents if isinstance(each, Mapping) and {*_KEYS} & {*each}]
    try:
        # The parser takes keys out of what it is given.
        collection = SigmaCollection.from_dicts(
            deepcopy(documents), collect_errors=True, collect_filters=True, resolve_references=False,
            policy=_quiet_policy(),
        )  # fmt: skip
    except Exception as error:  # noqa: BLE001 - whatever a parser of others says of one file concerns that file alone
        yield Rule(None, stem, "", (origin,), fault=f"it is no rule of Sigma: {' '.join(str(error).split())}")
        return
    several = [*collection.rules, *collection.filters]
    by_id = {str(each.get("id")): each for each in extras}
    for parsed in several:
        extra = by_id.get(str(parsed.id), extras[0] if len(several) == 1 and extras else {})
        fault = "; ".join(dict.fromkeys(" ".join(str(error).split()) for error in parsed.errors))
        yield Rule(parsed, str(parsed.title or stem), str(parsed.id or ""), (origin,), extra, fault)


def _once(rules: Iterable[Rule]) -> Iterator[Rule]:
    """Yield each rule, with a fault where an earlier one has its id."""
    first: dict[str, Rule] = {}
    for rule in rules:
        other = first.setdefault(rule.key, rule)
        fault = rule.fault or f"the rule {other.path} is known by the same id or name"
        yield rule if other is rule else replace(rule, fault=fault)


def _quiet_policy() -> Any:
    """Return the settings with which pySigma writes nothing to standard error about a pattern that is none."""
    import re2
    from sigma.policy import SigmaPolicy
    from sigma.policy.regex_engine import RE2RegexEngine

    class QuietEngine(RE2RegexEngine):
        def __deepcopy__(self, memo: object) -> Any:
            return self  # a filter copies what it adds to a rule, settings and all

        def compile(self, pattern: str, flags: int = 0) -> Any:
            options = re2.Options()
            options.log_errors = False
            named = {re.IGNORECASE: "i", re.MULTILINE: "m", re.DOTALL: "s"}
            letters = "".join(letter for flag, letter in named.items() if flags & flag)
            return re2.compile(f"(?{letters}){pattern}" if letters else pattern, options)

    return SigmaPolicy(regex_engine=QuietEngine())


def _filtered(rule: Rule, filters: Iterable[Rule]) -> Rule:
    """Return the rule with every filter applied that is about it."""
    from sigma.exceptions import SigmaError

    if rule.fault or not hasattr(rule.parsed, "detection"):
        return rule
    for each in filters:
        before = list(rule.parsed.detection.condition)
        try:
            each.parsed.apply_on_rule(rule.parsed)
        except SigmaError as error:
            return replace(rule, fault=f"the filter {each.path} cannot be applied: {error}")
        if rule.parsed.detection.condition != before:
            rule = replace(rule, origins=(*rule.origins, *each.origins))
    return rule


def _resolved(rules: list[Rule]) -> list[Rule]:
    """Return the rules with those that correlations name known to them, and their files among the origins."""
    from sigma.collection import SigmaCollection
    from sigma.exceptions import SigmaError

    collection = SigmaCollection([rule.parsed for rule in rules if not rule.fault], resolve_references=False)
    by_identity = {id(rule.parsed): rule for rule in rules}
    resolved = []
    for rule in rules:
        if rule.fault or not hasattr(rule.parsed, "rules"):
            resolved.append(rule)
            continue
        try:
            rule.parsed.resolve_rule_references(collection)
            rule.parsed.aliases.resolve_rule_references(collection)
        except SigmaError as error:
            resolved.append(replace(rule, fault=f"{error}; it was not among these files, or it cannot be used"))
        else:
            resolved.append(rule)
    return [_with_origins(rule, by_identity) for rule in resolved]


def _with_origins(rule: Rule, by_identity: Mapping[int, Rule]) -> Rule:
    if rule.fault or not hasattr(rule.parsed, "rules"):
        return rule
    origins = dict.fromkeys(rule.origins)
    try:
        for each in rule.parsed.flatten_rules():
            origins.update(dict.fromkeys(by_identity[id(each)].origins))
    except (RecursionError, AttributeError, KeyError):
        return replace(rule, fault="a rule that it is made of cannot be used, or is made of it")
    return replace(rule, origins=tuple(origins))
