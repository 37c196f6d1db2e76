"""What a question kind is: its keys in YAML, its statements, its findings, its words, in one object."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from auditlake.display.text import Fact, count, shown, visible
from auditlake.engine.statements import Statement, statement, statements
from auditlake.findings.many import numbers_by_kind

if TYPE_CHECKING:
    import yaml

    from auditlake.findings.finding import Finding
    from auditlake.policies.evaluate import Answers
    from auditlake.policies.holds import Hold
    from auditlake.policies.model import Policy
    from auditlake.policies.question import Question
    from auditlake.yaml_reader import Reader

MOMENTS = "moments"
"""The step that reads type and time of the governed events from the files."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the policy's YAML."""

    name: str
    schema: Mapping[str, Any]
    """What its value may be: JSON Schema, as far as :meth:`auditlake.yaml_reader.Reader.value` reads it."""
    read: Callable[[Any, yaml.Node, str], Any] | None = None
    """Reads a value that its schema does not describe fully."""
    asks: bool = False
    """Whether the key asks a question by itself."""
    needs: tuple[str, ...] = ()
    """The keys of which one at least must be there, since it has no meaning without."""


@dataclass(frozen=True, slots=True)
class FindingKind:
    """A sort of finding."""

    name: str
    """As in the report's JSON."""
    noun: str
    """As in a table and in a sentence."""
    keys: tuple[str, ...] | None = None
    """Its keys in the report's JSON between kind and message, where they are its own; None: those of every new kind."""


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A policy to be judged, with what its answers depend on."""

    policy: Policy
    policies: Sequence[Policy]
    """Every policy of the lake."""
    question: Question
    holds: tuple[Hold, ...] = ()
    """The legal holds that are active."""


@dataclass(frozen=True, slots=True)
class Query:
    """The statements that answer one question, in order."""

    name: str
    statements: Iterable[Statement]
    values: Mapping[str, object]
    """What they bind beside ``types``, ``as_of``, ``since`` and ``until``, by name."""
    slots: Mapping[str, str] = field(default_factory=dict)
    """The SQL that fills slots which are the kind's own, by name."""
    widened: str = "arrivals"
    """The statement that makes one number of group and time, in 128 bits where 63 have no room."""
    is_narrowed: bool = True
    """Whether its own slots are about the events that meet the policy's condition."""
    is_scoped: bool = True
    """Whether it is about the events in the policy's scope alone."""
    enough: str = ""
    """The statement after which the others have no rows where it has none."""


class Kind:
    """One way to ask. A subclass says what is its own; a kind is in use once it stands in ``KINDS``."""

    name: str
    keys: tuple[Key, ...] = ()
    asked_by: str | None = None
    """The key whose value asks it of a policy; None: it is asked of every policy."""
    finding_kinds: tuple[FindingKind, ...] = ()
    title: str | None = None
    """The title of its general section on the page, of its facts and findings; None: the page has sections for it."""
    answer_key: str | None = None
    """Where a report has its answer; None: under its name."""
    raises_alerts = False
    """Whether its findings are alerted as they happen: then it is asked by a threshold."""

    def check(self, reader: Reader, fields: Mapping[str, yaml.Node], values: dict[str, Any]) -> None:
        """Note what does not fit together in the values of a policy's file; a value may become one of another name."""

    def is_asked(self, policy: Policy) -> bool:
        """Return whether a policy asks it."""
        return self.asked_by is None or policy.value(self.asked_by) is not None

    def queries(self, inquiry: Inquiry) -> Iterable[Query]:
        """Return what is asked of the events of a policy that asks it."""
        raise NotImplementedError

    def by_day(self, inquiry: Inquiry) -> Iterable[Query]:
        """Return what is asked of each UTC day of the question's period, so that the answers of days can be put
        together to those of :meth:`queries`; nothing where they cannot. Every row begins with its day.
        """
        return ()

    def judge(self, answers: Answers) -> tuple[Iterable[Finding], Any]:
        """Return the findings in the rows, and what a report says beside them; None where the policy does not ask."""
        raise NotImplementedError

    def facts(self, answer: Mapping[str, Any]) -> tuple[Fact, ...]:
        """Return what its general section shows of its answer."""
        return tuple(Fact(visible(name.replace("_", " ").capitalize()), shown(str(answer[name]))) for name in answer)

    def sentence(self, findings: Sequence[Finding]) -> str:
        """Return what it found, to follow "The policy found"; empty where it found nothing."""
        found = numbers_by_kind(findings)
        numbers = ((found[each.name], each.noun) for each in self.finding_kinds)
        return " and ".join(count(number, noun) for number, noun in numbers if number)


def moments() -> Statement:
    """Return the statement that reads the moments of one policy."""
    return statement("policies/moments.sql", MOMENTS)


def every(file: str) -> Iterable[Statement]:
    """Return every statement of a file of ``sql/policies``, in order."""
    return statements(f"policies/{file}.sql").values()


def length(field: str, description: str, **more: Any) -> dict[str, Any]:
    """Return the schema of a length of time; months and years only where the field takes them."""
    units = "s|min|h|d|w|mo|y" if field in ("retention_period", "hot", "max_retention") else "s|min|h|d|w"
    pattern = f"^([0-9]+({units})|P.+)$"
    return {"type": "string", "format": "length", "pattern": pattern, "description": description, **more}
