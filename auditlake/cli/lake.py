"""``init``, ``compact``, ``backup`` and ``upgrade``: the lake as a whole."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

import auditlake
from auditlake.cli import completers
from auditlake.cli.options import json_option, option
from auditlake.cli.output import machine, opened, say
from auditlake.display.text import count, visible
from auditlake.storage.lake import is_url

if TYPE_CHECKING:
    from auditlake.policies.files import PolicySet


@click.command()
@click.argument("place", required=False, metavar="[LAKE]")
@option("--event-type", "event_types", multiple=True, metavar="TYPE", help="A type of your own; repeatable.")
@click.option("--default-retention", metavar="DURATION", help="Keep events that no policy keeps this long, e.g. 365d.")
@click.option("--policies", type=click.Choice(("starter", "llmguardian", "none")), default="starter", show_default=True,
              help="The policies to begin with.")  # fmt: skip
@option("--pack", "packs", multiple=True, metavar="PACK", shell_complete=completers.packs,
        help="A framework to judge the lake by, e.g. pci-dss-4; repeatable.")  # fmt: skip
@click.option("--unsigned", is_flag=True, help="Make no key: checkpoints of the ledger are not signed.")
@json_option("lake", "id", "policies", "packs")
@click.pass_obj
def init(
    path: str, place: str | None, event_types: tuple[str, ...], default_retention: str | None, policies: PolicySet,
    packs: tuple[str, ...], *, unsigned: bool,
) -> None:  # fmt: skip
    """Make a lake, with a first set of policies in it.

    LAKE is where, a folder or an address such as s3://bucket/lake; without it, where --lake says.

    The starter set has a few detections of general use. They find nothing on an ordinary day, and keep no event.
    llmguardian has the three policies of LLMGuardian, which count all users together, ask that each of their types
    occurs, and keep events from 30 days to a year.
    """
    from auditlake.policies.files import SETS

    path = place or path
    lake = auditlake.create(
        path,
        event_types=event_types,
        default_retention=default_retention,
        policies=policies,
        packs=packs,
        unsigned=unsigned,
    )
    added = lake.packs.all()
    own = [each.stem for each in SETS[policies]]
    machine(lake=lake.layout.root, id=lake.config.id, policies=own, packs=[each.id for each in added])
    say(f"made a lake at {visible(path) if is_url(path) else lake.layout.root}")
    if is_url(path):
        say(f"this host has a copy of it at {lake.layout.root}, and only there are events that were logged and are not "
            "flushed, the private key and reports: keep a copy of the key elsewhere")  # fmt: skip
    say(f"it is judged by {', '.join(own)}" if own else "no policy judges it yet; see: auditlake policy list --ready")
    for each in added:
        say(f"added {each.id}: {count(len(each.policies), 'policy', 'policies')}, "
            f"{count(len(each.controls), 'control')}; set its parameters in {lake.layout.frameworks}")  # fmt: skip


class Hours(click.FloatRange):
    """A finite number of hours, 0 or more."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the number."""
        hours: float = super().convert(value, param, ctx)
        return hours if math.isfinite(hours) else self.fail(f"expected a number of hours, got {hours}", param, ctx)


@click.command()
@click.option("--grace", "grace_hours", type=Hours(min=0), default=24.0, show_default=True, metavar="HOURS",
              help="Keep replaced files this long for queries that still read them.")  # fmt: skip
@click.option(
    "--reclass",
    is_flag=True,
    help="Rewrite also files of earlier versions, and those whose events are not kept equally long any more.",
)
@json_option("days", "files_before", "files_after", "unlinked", "snapshot")
@click.pass_obj
def compact(path: str, grace_hours: float, reclass: bool) -> None:
    """Merge the small files of each day; no answer changes."""
    summary = opened(path).compact(grace_seconds=grace_hours * 3600, reclass=reclass)
    machine(summary)
    say(
        f"{count(summary.days, 'day')} compacted: {count(summary.files_before, 'file')} became "
        f"{summary.files_after:,}, {count(summary.unlinked, 'old file')} removed (snapshot {summary.snapshot})"
    )


@click.command()
@click.argument("destination", metavar="DEST")
@click.option("--without-key", is_flag=True, help="Leave out the private key that signs checkpoints.")
@json_option("path", "snapshot", "files", "size")
@click.pass_obj
def backup(path: str, destination: str, without_key: bool) -> None:
    """Copy the lake to the new folder DEST while others write.

    To restore it, copy it back. DEST may be s3://, gs:// or az:// with a bucket: the copy is then a lake there.
    """
    summary = opened(path).backup(destination, key=not without_key)
    if machine(summary):
        return
    size = f"{count(summary.files, 'file')}, {count(summary.size, 'byte')}"
    say(f"copied snapshot {summary.snapshot} to {visible(summary.path)}: {size}")
    if without_key:
        click.echo("the private key of the ledger is not in it: without it, a restored lake takes no commits")


@click.command()
@json_option("format", "version")
@click.pass_obj
def upgrade(path: str) -> None:
    """Take the lake to format 2, in one commit.

    Its commits then hold the entries of its ledger. Earlier versions of auditlake do not open it any more; the way back
    is a backup that was made before.
    """
    version = opened(path).ledger.upgrade()
    machine(format=2, version=version)
    say("the lake is of format 2 already" if version is None else f"the lake is of format 2, from version {version} on")
