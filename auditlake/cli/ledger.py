"""``verify``, ``checkpoint``, ``prove``, ``verify-proof``, ``anchor`` and ``key``: what a third party can check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditlake.cli.exit_codes import DONE, WRONG
from auditlake.cli.export import out_option, write
from auditlake.cli.options import json_option
from auditlake.cli.output import is_quiet, machine, opened, pick, say, table
from auditlake.disk.files import SMALL, read_file, read_text
from auditlake.display.text import count, visible
from auditlake.errors import LedgerError

if TYPE_CHECKING:
    from auditlake.verify.model import VerifyReport
    from auditlake.verify.prove import Proven

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OUT = "Write it to a new file instead of printing it."
_tsa_root_option = click.option(
    "--tsa-root", type=_FILE, metavar="FILE", help="Root certificates of time stamp authorities, PEM."
)
_public_key_option = click.option(
    "--public-key", type=_FILE, metavar="FILE", help="The lake's public key, from a copy kept elsewhere."
)


@click.command()
@click.option("--quick/--full", default=False, help="Check files and tree only, or every row.  [default: full]")
@click.option("--checkpoint", type=_FILE, metavar="FILE", help="A checkpoint that was kept elsewhere.")
@_public_key_option
@_tsa_root_option
@json_option(
    "ok", "lake", "origin", "size", "root", "version", "signed_by", "full", "batches", "problems", "notices",
    "anchored", "unanchored", "unanchored_since", "unanchored_seconds", "stamped_at", "stamped", "stamp_trusted",
    "damaged_days",
)  # fmt: skip
@click.pass_obj
def verify(path: str, quick: bool, checkpoint: Path | None, public_key: Path | None, tsa_root: Path | None) -> int:
    """Recompute every hash and compare with the ledger.

    The exit code is 4 if anything differs.
    """
    report = opened(path).ledger.verify(
        full=not quick,
        checkpoint=read_file(checkpoint, limit=SMALL) if checkpoint else None,
        public_key=read_text(public_key, errors="replace") if public_key else None,
        tsa_roots=read_file(tsa_root, limit=SMALL) if tsa_root else None,
    )
    if not machine(pick(report) | pick(report, "unanchored", "ok")) and not (report.ok and is_quiet()):
        _show(report)
    return DONE if report.ok else WRONG


def _show(report: VerifyReport) -> None:
    if parts := [part for batch in report.batches for part in batch.parts if part.detail]:
        rows = [(part.batch, part.day, part.rows, part.verdict) for part in parts]
        table(("batch", "day", "events", "verdict"), rows, right=(0, 2))
        for part in parts:
            click.echo(f"batch {part.batch}, {part.day}: {visible(part.detail)}")
    for notice in report.notices:
        click.echo(f"note: {visible(str(notice))}")
    for problem in report.problems:
        click.echo(f"WRONG: {visible(str(problem))}")
    if not report.size:
        click.echo("SOMETHING IS WRONG")
        return
    counts = dict.fromkeys(("verified", "remapped", "deleted", "erased", "MISSING", "CHANGED"), 0)
    for batch in report.batches:
        counts[batch.verdict] += 1
    verdicts = ", ".join(f"{many} {verdict}" for verdict, many in counts.items() if many) or "none"
    what = "every row" if report.full else "files and tree, not the rows"
    signed = f"signed by {visible(report.signed_by)}" if report.signed_by else "unsigned"
    since = (
        f"only this lake vouches for the last {report.unanchored}, since {visible(report.unanchored_since)} "
        f"({report.unanchored_seconds / 3600:,.1f} hours)"
        if report.unanchored_since
        else "what was kept elsewhere covers all of it"
    )
    batches = count(len(report.batches), "batch", "batches")
    click.echo(f"checked {what}: {count(report.rows, 'event')} in {batches}: {verdicts}")
    click.echo(f"checkpoint of {count(report.size, 'entry', 'entries')}, version {report.version}, {signed}; {since}")
    if report.stamped_at:
        trust = "" if report.stamp_trusted else "; its signature was not checked, which needs --tsa-root"
        click.echo(f"newest time stamp of {report.stamped_at}, over {count(report.stamped, 'entry', 'entries')}{trust}")
    click.echo("all is as it was recorded" if report.ok else "SOMETHING IS WRONG")


@click.command()
@out_option(_OUT)
@json_option("checkpoint", "out")
@click.pass_obj
def checkpoint(path: str, out: Path | None) -> None:
    """Print the ledger's newest checkpoint, to be kept elsewhere.

    `auditlake verify --checkpoint FILE` compares the lake with it later.
    """
    note = opened(path).ledger.checkpoint()
    _put(note, out, checkpoint=note.decode())


@click.command()
@click.argument("event_id")
@click.option("--source", metavar="NAME", help="The event's source, if several sources have this id.")
@out_option(_OUT)
@json_option("proof", "out")
@click.pass_obj
def prove(path: str, event_id: str, source: str | None, out: Path | None) -> None:
    """Print a proof that an event is in the ledger."""
    proof = opened(path).ledger.prove(event_id, source=source)
    _put(proof, out, proof=json.loads(proof))


def _put(data: bytes, out: Path | None, **record: Any) -> None:
    """Write the data to the file, or print it; with ``--json``, print the record."""
    if out is not None:
        write(out, data)
    if not machine(record | {"out": out}) and out is None:
        click.echo(data.decode(), nl=False)


@click.command("verify-proof")
@click.argument("proof", type=_FILE, metavar="FILE")
@_public_key_option
@click.option("--unsigned", is_flag=True, help="Accept an unsigned checkpoint, of a lake without a key.")
@json_option("ok", "event", "origin", "size", "recorded", "signed_by", "or problem", "hint")
def verify_proof(proof: Path, public_key: Path | None, unsigned: bool) -> int:
    """Check a proof without the lake.

    A file that ends in .jsonl has a proof on each line, as those of an evidence pack do. The exit code is 4 if one does
    not hold.
    """
    from auditlake.verify.prove import verify_proof as check

    if (public_key is None) == (not unsigned):
        raise click.UsageError("give --public-key FILE, or --unsigned for a lake without a key")
    key = read_text(public_key, errors="replace") if public_key else None
    data = read_file(proof)
    proofs = data.splitlines() if proof.suffix == ".jsonl" else [data]
    if not proofs:
        raise click.UsageError(f"{proof}: expected a proof on each line, and there is none")
    done: list[Proven] = []
    try:
        done.extend(check(each, key) for each in proofs)
    except LedgerError as error:
        problem = f"line {len(done) + 1}: {error}" if len(proofs) > 1 else str(error)
        if not machine({"ok": False, "problem": problem, "hint": error.hint}):
            click.echo(f"WRONG: {visible(problem)}{f' ({visible(error.hint)})' if error.hint else ''}")
        return WRONG
    proven = done[-1]
    machine({"ok": True} | pick(proven))
    signed = f"signed by {visible(proven.signed_by)}" if proven.signed_by else "whose signature was not checked"
    if len(proofs) > 1:
        say(f"{count(len(proofs), 'proof')} hold; the last:")
    say(f"event {visible(str(proven.event['event_id']))} was recorded on {visible(proven.recorded)}")
    say(f"in the ledger {visible(proven.origin)}, checkpoint of {count(proven.size, 'entry', 'entries')}, {signed}")
    return DONE


@click.command()
@click.argument("url")
@_tsa_root_option
@json_option("at", "size", "trusted")
@click.pass_obj
def anchor(path: str, url: str, tsa_root: Path | None) -> None:
    """Have the newest checkpoint time-stamped (RFC 3161) at URL."""
    stamp = opened(path).ledger.anchor(url, tsa_roots=read_file(tsa_root, limit=SMALL) if tsa_root else None)
    if machine(stamp, at=stamp.at.isoformat()):
        return
    say(f"stamped {count(stamp.size, 'entry', 'entries')} at {stamp.at.isoformat()}")
    if not stamp.trusted:
        click.echo("the authority's signature was not checked, which needs --tsa-root")


@click.group()
def key() -> None:
    """Rotate the key that signs checkpoints."""


@key.command()
@out_option("Write the new public key to a new file instead of printing it.")
@json_option("public_key", "out")
@click.pass_obj
def rotate(path: str, out: Path | None) -> None:
    """Rotate the signing key, and print the new public key.

    Keep the public key elsewhere. The old private key is removed.
    """
    public_key = opened(path).ledger.rotate_key()
    _put(f"{public_key}\n".encode(), out, public_key=public_key)
