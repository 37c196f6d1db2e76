"""``pack``: the frameworks that a lake is judged by."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditlake.cli import completers
from auditlake.cli.decision import ENTRY_KEYS, expires_option, tell
from auditlake.cli.exit_codes import DONE, FAILED, NEGATIVE
from auditlake.cli.export import out_option, print_text, write
from auditlake.cli.options import json_option, operator_option, yes_option
from auditlake.cli.output import as_json, ask, cell, is_json, is_quiet, machine, opened, say, table
from auditlake.cli.policy import show_effect, show_results
from auditlake.cli.sarif import check_format, print_sarif
from auditlake.display.text import count, visible
from auditlake.storage.lake import may_be_lake

if TYPE_CHECKING:
    from datetime import date

    from auditlake.facets.packs import PackEffect
    from auditlake.packs.diff import PackDiff
    from auditlake.packs.model import Control, Pack, Parameter

_pack_argument = click.argument("pack_id", metavar="PACK", shell_complete=completers.packs)
_to_option = click.option("--to", metavar="FILE", help="The other revision; the one that ships by default.")
_DIFF = ("pack_id", "old", "new", "old_digest", "new_digest", "differences")
_HEAD = ("id", "framework", "edition", "revision", "state", "recheck")


@click.group()
def pack() -> None:
    """Manage frameworks: list, add, check, compare, upgrade, weaken.

    A pack says what one edition of a framework asks of an audit trail: `auditlake docs packs` has the form of its file.
    Once it is in a lake, its policies are judged like the lake's own. PACK is the id of a pack, such as pci-dss-4.
    """


@pack.command("list")
@json_option("packs", "faults")
@click.pass_obj
def list_(path: str) -> int:
    """List the packs that ship, and those of the lake."""
    from auditlake import AuditLake
    from auditlake.machine import system_clock
    from auditlake.packs.effective import LakePacks
    from auditlake.packs.files import shipped_ids, shipped_pack

    found = AuditLake(path).packs.found() if may_be_lake(path) else LakePacks()
    today = system_clock().date()
    rows = [_head(each, today) | {"in_lake": True} for each in found.packs.values()]
    others = (name for name in shipped_ids() if name not in found.known)
    rows += [_head(shipped_pack(name), today) | {"in_lake": False} for name in others]
    rows.sort(key=lambda each: str(each["id"]))
    if not machine(packs=rows, faults=list(found.problems)):
        headings = ("pack", "framework", "edition", "state", "revision", "controls", "this lake")
        table(headings, (
            (each["id"], each["framework"], each["edition"], each["state"], each["revision"], each["controls"],
             "judged by it" if each["in_lake"] else "")
            for each in rows
        ), right=(5,))  # fmt: skip
    for problem in found.problems:
        click.echo(visible(f"cannot be used: {problem}"), err=True)
    return FAILED if found.problems else DONE


@pack.command()
@_pack_argument
@json_option(*_HEAD, "publisher", "about", "digest", "controls", "parameters", "policies", "retention", "sources")
@click.pass_obj
def show(path: str, pack_id: str) -> None:
    """Show a pack: its state, its parameters and its controls.

    Of a pack of the lake, the values are the lake's.
    """
    from auditlake.machine import system_clock
    from auditlake.packs.parameters import as_text

    chosen = _chosen(path, pack_id)
    today = system_clock().date()
    if machine(_as_dict(chosen, today)):
        return
    state = _head(chosen, today)["state"] or "of no state yet"
    click.echo(visible(f"{chosen.framework} {chosen.edition}, {chosen.publisher}: {state}"))
    click.echo(f"{chosen.id}, revision {chosen.revision}, facts due for a check on {chosen.recheck}\n")
    click.echo(visible(chosen.about, keep="\n") + "\n")
    if chosen.parameters:
        headings = ("parameter", "value", "stricter", "asked for by", "about")
        table(headings, (
            (each.name, as_text(chosen.values[each.name]), each.stricter, each.cites, each.about)
            for each in chosen.parameters.values()
        ))  # fmt: skip
        click.echo()
    table(("control", "shows", "what it asks", "checks"), (
        (each.id, each.shows, each.title, ", ".join(_checks(each))) for each in chosen.controls
    ))  # fmt: skip


@pack.command()
@click.argument("name", metavar="PACK|FILE", shell_complete=completers.packs)
@click.option("--accept-weaker", metavar="REASON", help="Add although events become due by it; recorded.")
@yes_option
@json_option(*_HEAD, "policies", "without_data", "missed", "undeclared", "changes")
@click.pass_obj
def add(path: str, name: str, accept_weaker: str | None, yes: bool) -> None:
    """Copy a pack into the lake, which is judged by it from then on.

    The pack's file goes to LAKE/packs, and LAKE/frameworks.yaml names its revision; set its parameters there. The
    command first lists which events are kept longer or shorter, and which policies have no event in the lake, or
    lack a type of event. If events become due for deletion or lose their personal data, it asks.
    """
    from auditlake.machine import system_clock

    lake = opened(path)
    effect = lake.packs.effect(name)
    is_asking = effect.effect.takes and not yes and accept_weaker is None
    if not is_json() and (is_asking or not is_quiet()):
        _show_pack_effect(effect)
    if is_asking:
        ask(f"add {effect.pack.id}? the next retention apply then deletes what is due")
    confirmed = "confirmed at the command line" if effect.effect.takes else None
    added = lake.packs.add(name, accept_weaker=confirmed if accept_weaker is None else accept_weaker)
    undeclared = {name: list(types) for name, types in added.unready.items()}
    machine(_head(added, system_clock().date()) | {
        "policies": [each.id for each in added.policies.values()],
        "without_data": {name: list(types) for name, types in effect.without_data.items()},
        "missed": {name: list(types) for name, types in effect.missed.items()},
        "undeclared": undeclared, "changes": effect.effect.as_dict(),
    })  # fmt: skip
    say(f"added {added.id}: {count(len(added.policies), 'policy', 'policies')}, "
        f"{count(len(added.controls), 'control')}; set its parameters in {lake.layout.frameworks}")  # fmt: skip


def _show_pack_effect(effect: PackEffect) -> None:
    show_effect(effect.effect)
    for name, types in effect.missed.items():
        click.echo(visible(f"{name} will miss {', '.join(types)}: the lake holds no such event"))
    for name, types in effect.without_data.items():
        click.echo(visible(f"{name} has no data: the lake holds no event of {', '.join(types)}"))
    for name, types in effect.pack.unready.items():
        undeclared = ", ".join(types)
        click.echo(visible(f"{name} is not evaluated: lake.toml declares no event type {undeclared}"))


@pack.command()
@click.argument("names", nargs=-1, metavar="[PACK|FILE...]", shell_complete=completers.packs)
@check_format
@json_option("problems", "tests")
@click.pass_obj
def check(path: str, names: tuple[str, ...], form: str) -> int:
    """Look for mistakes in packs and in frameworks.yaml.

    The command also tells which values are weaker than what a control asks for without a recorded decision, and runs
    the tests of the packs' policies. Without a name, every pack of the lake is checked. The exit code is 1 if anything
    is wrong.
    """
    lake = opened(path)
    found = lake.packs.check(*names)
    if form == "sarif":
        print_sarif(lake.layout, "pack-file", found.problems, found.tests, names)
        return DONE if found.passed else NEGATIVE
    with suppress(BrokenPipeError):  # a closed pipe does not change the exit code
        tests = [{"policy_id": each.policy_id, "test": each.test, "passed": each.passed,
                  "differences": list(each.differences)} for each in found.tests]  # fmt: skip
        if not machine(problems=list(found.problems), tests=tests):
            for problem in found.problems:
                click.echo(visible(problem))
            show_results(found.tests)
    return DONE if found.passed else NEGATIVE


@pack.command()
@_pack_argument
@click.option("--format", "form", type=click.Choice(["oscal"]), required=True,
              help="In which form: oscal is a catalogue of OSCAL 1.2.3.")  # fmt: skip
@out_option("Where to write; standard output without it.")
@json_option("pack_id", "format", "out")
@click.pass_obj
def export(path: str, pack_id: str, form: str, out: Path | None) -> None:
    """Write a pack's controls in a form of others.

    The ids are those that the assessment results have which `report --format oscal` writes. The words are those of the
    pack, not of the publisher.
    """
    from auditlake.forms.oscal_catalog import render

    if out is None and is_json():
        raise click.UsageError("expected --out FILE beside --json")
    data = render(_chosen(path, pack_id))
    if out is None:
        print_text(data)
        return
    write(out, data)
    if not machine(pack_id=pack_id, format=form, out=out):
        say(f"{pack_id} as {form} in {out}")


@pack.command()
@_pack_argument
@_to_option
@json_option(*_DIFF, "judged", "effect", "not_judged")
@click.pass_obj
def diff(path: str, pack_id: str, to: str | None) -> None:
    """Show what another revision of a pack changes.

    Both revisions are judged over the last `report_period`, with what this lake sets: the command names each control
    that would stand otherwise. Nothing is changed.
    """
    found = opened(path).packs.diff(pack_id, to=to)
    if not machine(asdict(found)):
        _show_diff(found)
        _show_effect(found)


@pack.command()
@_pack_argument
@_to_option
@click.option("--accept-weaker", metavar="REASON", help="Upgrade although retention becomes weaker; recorded.")
@json_option(*_DIFF)
@click.pass_obj
def upgrade(path: str, pack_id: str, to: str | None, accept_weaker: str | None) -> None:
    """Put a later revision of a pack in its place.

    The old file stays as LAKE/packs/old/PACK@REVISION.yaml, so that old reports can be made again. What the pack
    extends comes with it in a later revision, if there is one beside the file or with auditlake.
    """
    done = opened(path).packs.upgrade(pack_id, to=to, accept_weaker=accept_weaker)
    if not machine({key: each for key, each in asdict(done).items() if key in _DIFF}) and not is_quiet():
        _show_diff(done)
    say(f"{done.pack_id} is the revision {done.new} now; it was {done.old}")


def _show_diff(found: PackDiff) -> None:
    if not found.differences:
        click.echo(f"{found.old} and {found.new} ask the same")
        return
    table(("what", "name", "change", found.old, found.new), (
        (each.what, each.name, each.change, each.before, each.after) for each in found.differences
    ))  # fmt: skip


def _show_effect(found: PackDiff) -> None:
    if found.judged is None:
        click.echo(visible(f"what it changes is not known: {found.not_judged}"))
        return
    about, effect = found.judged, found.effect or ()
    period = f"over {cell(about.since)} to {cell(about.until)}, on snapshot {about.snapshot}"
    if not effect:
        click.echo(f"each of {count(about.controls, 'control')} stands by either revision as by the other, {period}")
        return
    table(("control", "by " + found.old, "by " + found.new, "why", "what it asks"), (
        (each.control if each.was in (each.control, None) else f"{each.was}, now {each.control}",
         _words(each.before), _words(each.after), each.why, each.title)
        for each in effect
    ))  # fmt: skip
    click.echo(f"{count(len(effect), 'control')} of {about.controls:,} would stand otherwise, {period}")


def _words(status: str | None) -> str:
    return "not there" if status is None else status.replace("_", " ")


@pack.command()
@click.argument("pack", metavar="PACK", shell_complete=completers.packs)
@click.argument("parameter", metavar="PARAMETER")
@click.option("--reason", required=True, metavar="TEXT", help="Why less is enough.")
@click.option("--owner", required=True, metavar="NAME", help="Who answers for it.")
@expires_option
@operator_option("by")
@json_option(*ENTRY_KEYS)
@click.pass_obj
def weaken(path: str, /, pack: str, parameter: str, **options: Any) -> None:
    """Record that a parameter may ask for less than its control.

    It is about the value that LAKE/frameworks.yaml has now. While the decision is in force, the controls that use the
    value are at best an exception; when it has ended, they fail. `auditlake decision retract` takes it back.
    """
    lake = opened(path)
    values = lake.packs.get(pack).values
    tell(lake.decisions.weaken(pack, parameter, _shown(values[parameter]) if parameter in values else None, **options))


@pack.command()
@json_option(
    "$schema", "title", "type", "additionalProperties", "required", "properties", "if", "then", "else",
    text="Print one JSON object, as without it",
)  # fmt: skip
def schema() -> None:
    """Print the JSON Schema of a pack's file, for editors."""
    from auditlake.packs.schema import pack_schema

    click.echo(as_json(pack_schema(), indent=2))


def _chosen(path: str, pack_id: str) -> Pack:
    """Return a pack of the lake, or one that ships."""
    from auditlake import AuditLake
    from auditlake.packs.files import shipped_pack

    found = AuditLake(path).packs.found() if may_be_lake(path) else None
    return found.get(pack_id) if found and pack_id in found.known else shipped_pack(pack_id)


def _head(chosen: Pack, today: date) -> dict[str, Any]:
    state = chosen.state_on(today)
    return {
        "id": chosen.id, "framework": chosen.framework, "edition": chosen.edition, "revision": chosen.revision,
        "state": state.state if state else None, "recheck": chosen.recheck.isoformat(),
        "controls": len(chosen.controls),
    }  # fmt: skip


def _as_dict(chosen: Pack, today: date) -> dict[str, Any]:
    return _head(chosen, today) | {
        "publisher": chosen.publisher, "about": chosen.about, "digest": chosen.digest,
        "controls": [
            {"id": each.id, "title": each.title, "shows": each.shows, "says": each.says, "says_not": each.says_not,
             "checks": _checks(each)}
            for each in chosen.controls
        ],
        "parameters": {
            each.name: {"type": each.type, "value": _value(chosen, each), "default": _shown(each.default),
                        "stricter": each.stricter, "cites": list(each.cites), "about": each.about}
            for each in chosen.parameters.values()
        },
        "policies": [each.id for each in chosen.policies.values()],
        "retention": chosen.retention and {
            "min": _text(chosen.retention.min), "hot": _text(chosen.retention.hot), "max": _text(chosen.retention.max),
            "max_of": chosen.retention.max and chosen.retention.max_of, "basis": chosen.retention.basis,
            "cites": list(chosen.retention.cites), "note": chosen.retention.note,
        },
        "sources": [{"id": each.id, "title": each.title, "checked": each.checked, "url": each.url}
                    for each in chosen.sources],
    }  # fmt: skip


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _shown(value: Any) -> Any:
    from auditlake.packs.parameters import shown_value

    return shown_value(value)


def _value(chosen: Pack, parameter: Parameter) -> Any:
    return _shown(chosen.values[parameter.name])


def _checks(control: Control) -> list[str]:
    """Return the checks of a control in short: policies, checks over records, and parts."""
    return [*(each.policy for each in control.policies), *(each.kind for each in control.records), *control.all_of]
