"""``verify``, ``checkpoint``, ``prove`` and ``verify-proof``: what a third party can check, and with what."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from auditlake.cli.export import out_option, write
from auditlake.cli.output import machine, opened, plain, table
from auditlake.disk.files import SMALL, read_file, read_text
from auditlake.display.text import count

if TYPE_CHECKING:
    from auditlake.verify.model import VerifyReport

EXIT_WRONG = 4
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--quick/--full", default=False, help="Files and tree only, or every row.  [default: full]")
@click.option("--checkpoint", type=_FILE, metavar="FILE", help="A checkpoint that was kept elsewhere.")
@click.option("--public-key", type=_FILE, metavar="FILE", help="The public key that was kept elsewhere.")
@click.option("--tsa-root", type=_FILE, metavar="FILE", help="Certificates of time stamp authorities, PEM.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def verify(
    path: str, quick: bool, checkpoint: Path | None, public_key: Path | None, tsa_root: Path | None, as_json: bool
) -> None:
    """Recompute everything, and say what is not as the ledger recorded it; exit with 4 if anything is wrong."""
    report = opened(path).ledger.verify(
        full=not quick,
        checkpoint=read_file(checkpoint, limit=SMALL) if checkpoint else None,
        public_key=read_text(public_key, errors="replace") if public_key else None,
        tsa_roots=read_file(tsa_root, limit=SMALL) if tsa_root else None,
    )
    if as_json:
        machine({**asdict(report), "unanchored": report.unanchored, "ok": report.ok})
    else:
        _show(report)
    if not report.ok:
        raise click.exceptions.Exit(EXIT_WRONG)


def _show(report: VerifyReport) -> None:
    parts = [part for batch in report.batches for part in batch.parts if part.detail]
    if parts:
        headings = ("batch", "day", "events", "verdict", "")
        table(headings, ((part.batch, part.day, part.rows, part.verdict, "") for part in parts), right=(0, 2))
        for part in parts:
            click.echo(f"batch {part.batch}, {part.day}: {plain(part.detail)}")
    for notice in report.notices:
        click.echo(f"note: {plain(str(notice))}")
    for problem in report.problems:
        click.echo(f"WRONG: {plain(str(problem))}")
    if not report.size:
        click.echo("SOMETHING IS WRONG")
        return
    counts = dict.fromkeys(("verified", "deleted", "erased", "MISSING", "CHANGED"), 0)
    for batch in report.batches:
        counts[batch.verdict] += 1
    told = ", ".join(f"{many} {verdict}" for verdict, many in counts.items() if many) or "none"
    what = "every row" if report.full else "files and tree, not the rows"
    signed = f"signed by {plain(report.signed_by)}" if report.signed_by else "unsigned"
    since = (
        f"only this lake vouches for the last {report.unanchored}, since {plain(report.unanchored_since)} "
        f"({report.unanchored_seconds / 3600:,.1f} hours)"
        if report.unanchored_since
        else "all of it is covered by what was kept elsewhere"
    )
    batches = count(len(report.batches), "batch", "batches")
    click.echo(f"checked {what}: {count(report.rows, 'event')} in {batches}: {told}")
    click.echo(f"checkpoint of {count(report.size, 'entry', 'entries')}, version {report.version}, {signed}; {since}")
    if report.stamped_at:
        trust = "" if report.stamp_trusted else ", whose signature was not checked: --tsa-root says against what"
        click.echo(f"newest time stamp of {report.stamped_at}, over {count(report.stamped, 'entry', 'entries')}{trust}")
    click.echo("all is as it was recorded" if report.ok else "SOMETHING IS WRONG")


@click.command()
@out_option("A new file for it; it is printed if not given.")
@click.pass_obj
def checkpoint(path: str, out: Path | None) -> None:
    """Print the ledger's newest checkpoint: keep it elsewhere, and verify --checkpoint will hold the lake to it."""
    _put(opened(path).ledger.checkpoint(), out)


@click.command()
@click.argument("event_id")
@click.option("--source", metavar="NAME", help="The event's source, where several have this id.")
@out_option("A new file for it; it is printed if not given.")
@click.pass_obj
def prove(path: str, event_id: str, source: str | None, out: Path | None) -> None:
    """Write a proof that an event is in the ledger."""
    _put(opened(path).ledger.prove(event_id, source=source), out)


def _put(data: bytes, out: Path | None) -> None:
    if out is None:
        click.echo(data.decode(), nl=False)
    else:
        write(out, data)


@click.command("verify-proof")
@click.argument("proof", type=_FILE, metavar="FILE")
@click.option("--public-key", type=_FILE, metavar="FILE", help="The public key of the lake, kept elsewhere.")
@click.option("--unsigned", is_flag=True, help="Do not ask who signed the checkpoint: the lake has no key.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def verify_proof(proof: Path, public_key: Path | None, unsigned: bool, as_json: bool) -> None:
    """Check a proof, without the lake; exit with 4 if it does not hold."""
    from auditlake.errors import LedgerError
    from auditlake.verify.prove import verify_proof as check

    if (public_key is None) == (not unsigned):
        raise click.UsageError("give --public-key FILE, or --unsigned for a lake without a key")
    try:
        key = read_text(public_key, errors="replace") if public_key else None
        shown = check(read_file(proof), key)
    except LedgerError as error:
        click.echo(f"WRONG: {plain(str(error))}{f' ({plain(error.hint)})' if error.hint else ''}")
        raise click.exceptions.Exit(EXIT_WRONG) from error
    if as_json:
        machine(asdict(shown))
        return
    signed = f"signed by {plain(shown.signed_by)}" if shown.signed_by else "whose signature was not asked for"
    click.echo(f"event {plain(str(shown.event['event_id']))} was recorded on {plain(shown.recorded)}")
    click.echo(f"in the ledger {plain(shown.origin)}, checkpoint of {count(shown.size, 'entry', 'entries')}, {signed}")


@click.command()
@click.argument("url")
@click.option("--tsa-root", type=_FILE, metavar="FILE", help="Certificates that the stamp must lead to, PEM.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def anchor(path: str, url: str, tsa_root: Path | None, as_json: bool) -> None:
    """Have a time stamp authority (RFC 3161) at URL stamp the newest checkpoint."""
    made = opened(path).ledger.anchor(url, tsa_roots=read_file(tsa_root, limit=SMALL) if tsa_root else None)
    if as_json:
        machine({"at": made.at.isoformat(), "size": made.size, "trusted": made.trusted})
        return
    click.echo(f"stamped {count(made.size, 'entry', 'entries')} at {made.at.isoformat()}")
    if not made.trusted:
        click.echo("whose stamp it is was not checked: --tsa-root says against what")


@click.group()
def key() -> None:
    """The key that signs the ledger's checkpoints."""


@key.command()
@out_option("A new file for the new public key; it is printed if not given.")
@click.pass_obj
def rotate(path: str, out: Path | None) -> None:
    """Let a new key sign from now on; print its public half, which is to be kept elsewhere. The old key is gone."""
    _put(f"{opened(path).ledger.rotate_key()}\n".encode(), out)


COMMANDS = (verify, checkpoint, prove, verify_proof, anchor, key)
