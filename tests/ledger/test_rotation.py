"""One key follows another, and whoever kept an old public key can still verify; nobody else's key gets in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditlake import AuditLake
from auditlake.errors import LedgerError
from auditlake.ledger import book, keys
from auditlake.ledger.entry import Record
from auditlake.ledger.note import Checkpoint, Signer, new_signer, sign
from auditlake.ledger.rules import read_rules
from auditlake.verify.prove import verify_proof
from tests.lakes import create, of_format_1
from tests.ledger.lakes import check_ledger, entries
from tests.store.lakes import NOW, copied, made, opened, write_events
from tests.verify.lakes import checked


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of one ingest."""
    folder = tmp_path_factory.mktemp("template")
    lake = made(folder / "lake")
    lake.ingest(write_events(folder / "a.jsonl", range(4)))
    return lake.layout.root


@pytest.fixture
def lake(template: Path, tmp_path: Path) -> AuditLake:
    """A copy of it."""
    return opened(copied(template, tmp_path / "lake"))


def public(lake: AuditLake) -> str:
    """The lake's public key."""
    return (lake.layout.ledger / "key.pub").read_text().strip()


def test_what_is_written_for_others(lake: AuditLake, tmp_path: Path, run: Callable[..., Any]) -> None:
    """No checkpoint, proof or key is written over a file unless told so, and no key is changed that cannot be kept."""
    (kept := tmp_path / "kept").write_text("all that I have\n")
    before = public(lake)
    for asked in (("checkpoint",), ("prove", "e1"), ("key", "rotate")):
        for out in (kept, tmp_path / "nowhere" / "kept", tmp_path):
            assert run("--lake", lake.layout.root, *asked, "--out", out).code == 2, (asked, out)
        assert (kept.read_text(), public(lake)) == ("all that I have\n", before)
        assert run("--lake", lake.layout.root, *asked, "--out", kept, "--force").code == 0
        assert kept.read_text() != "all that I have\n"
        kept.write_text("all that I have\n")
    assert public(lake) != before


def test_a_new_key_signs(lake: AuditLake, tmp_path: Path, run: Callable[..., Any]) -> None:
    """After two rotations every public key that was kept verifies the lake, and so does every kept checkpoint."""
    kept, notes = [public(lake)], [lake.ledger.checkpoint()]
    assert run("--lake", lake.layout.root, "key", "rotate", "--out", tmp_path / "new").code == 0
    kept.append(public(lake))
    assert (tmp_path / "new").read_text().strip() == kept[1] != kept[0]
    notes.append(lake.ledger.checkpoint())
    lake.ingest(write_events(tmp_path / "b.jsonl", range(4, 8)))
    kept.append(lake.ledger.rotate_key())
    lake.ingest(write_events(tmp_path / "c.jsonl", range(8, 12)))

    check_ledger(lake)
    assert [entry.kind for entry in entries(lake)] == [
        "begin", "append", "key-rotate", "append", "key-rotate", "append",
    ]  # fmt: skip
    assert not (lake.layout.ledger / "key.next").exists()
    for key in kept:
        for note in notes:
            report = checked(lake, public_key=key, checkpoint=note)
            assert report.ok, report.problems
            assert report.signed_by == kept[-1] == public(lake)
    assert checked(lake).notices == ()


def test_an_unsigned_lake_has_no_key_to_follow(tmp_path: Path) -> None:
    """A lake without a key gets none by rotation."""
    lake = create(tmp_path / "lake", unsigned=True, clock=lambda: NOW)

    with pytest.raises(LedgerError, match="is unsigned"):
        lake.ledger.rotate_key()


def test_a_key_of_other_lakes(lake: AuditLake) -> None:
    """A key with another name than the lake's may sign for others: it is not replaced."""
    other = new_signer("department")
    (lake.layout.ledger / "key").write_text(other.secret())
    (lake.layout.ledger / "key.pub").write_text(str(other.verifier))
    (lake.layout.ledger / "checkpoint").write_bytes(bytes(sign(_text(lake), [other])))

    with pytest.raises(LedgerError, match="may sign for other lakes"):
        lake.ledger.rotate_key()


def _text(lake: AuditLake) -> str:
    return (lake.layout.ledger / "checkpoint").read_text().partition("\n\n")[0] + "\n"


@pytest.mark.parametrize("where", ["put_next", "_written", "complete", "adopt_next", "half"])
@of_format_1
def test_writers_that_die(where: str, lake: AuditLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a rotation dies, the lake verifies with the old key, and the next commit finishes or forgets it."""
    old = public(lake)

    def die(*arguments: Any) -> None:
        if where == "half":
            (lake.layout.ledger / "key.pub").write_text(f"{arguments[2].verifier}\n")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(
            keys if where in {"adopt_next", "half"} else book, "adopt_next" if where == "half" else where, die
        )
        lake.ledger.rotate_key()
    assert checked(lake, public_key=old).ok
    assert checked(lake).ok

    lake.ingest(write_events(tmp_path / "b.jsonl", range(4, 8)))
    rotated = where in {"adopt_next", "half"}
    assert (public(lake) != old) is rotated
    assert ("key-rotate" in {entry.kind for entry in entries(lake)}) is rotated
    assert not (lake.layout.ledger / "key.next").exists()
    report = checked(lake, public_key=old)
    assert (report.problems, report.signed_by) == ((), public(lake))


@pytest.mark.parametrize("how", ["signed by itself", "of another tree", "another name", "no note"])
@of_format_1
def test_a_key_that_the_old_one_does_not_vouch_for(how: str, lake: AuditLake) -> None:
    """An entry that names a new key is worth what the old key signed: anything else is found."""
    old, layout = public(lake), lake.layout
    settings = keys.read_settings(layout)
    mine, theirs, head = keys.read_signer(layout, settings), new_signer(settings.origin), book.read_head(layout)
    assert mine is not None and head is not None
    line = f"auditlake/new-key {mine.verifier if how == 'another name' else theirs.verifier}"
    root = bytes(32) if how == "of another tree" else head.root
    text = Checkpoint(theirs.name, head.size, root, (f"auditlake/version {head.version} {head.log}", line)).text
    note = bytes(sign(text, [theirs if how == "signed by itself" else mine])).decode() if how != "no note" else "x"
    details = {"old": old, "new": str(theirs.verifier), "note": note}
    (layout.ledger / "key").write_text(theirs.secret())
    (layout.ledger / "key.pub").write_text(str(theirs.verifier))
    (layout.ledger / "checkpoint").write_bytes(bytes(sign(_text(lake), [theirs])))
    settled = book.settle(layout, 1, lambda: Record("begin", ""))
    event = Record("key-rotate", NOW.isoformat(), details=details)
    book.record(layout, settled, 1, event, read_rules(layout, settled.settings))

    for key in (None, old):
        assert "does not vouch for it" in str(checked(lake, public_key=key).problems[0])


def test_a_history_of_other_keys(lake: AuditLake) -> None:
    """A key that was kept and that no rotation names did not sign this ledger."""
    lake.ledger.rotate_key()
    stranger = str(new_signer(keys.read_settings(lake.layout).origin).verifier)

    assert "signed by other keys" in str(checked(lake, public_key=stranger).problems[0])


def test_a_private_key_that_does_not_fit(lake: AuditLake, run: Callable[..., Any]) -> None:
    """verify and doctor say when the private key is not that of the public one, after a rotation too, or no key."""
    key, first = lake.layout.ledger / "key", public(lake)
    old = key.read_bytes()
    strange = new_signer(keys.read_settings(lake.layout).origin)
    lake.ledger.rotate_key()
    new, where = key.read_bytes(), ("--lake", lake.layout.root)
    for secret, what in {
        old: f"ledger/key: is the private key of {first}, not of {public(lake)}: nothing can be recorded",
        strange.secret().encode(): f"ledger/key: is the private key of {strange.verifier}, not of {public(lake)}",
        new[:-6]: "ledger/key: cannot be used: it is not a private key",
        b"": "ledger/key: cannot be used: it is not a private key",
    }.items():
        key.write_bytes(secret)
        for verb in (("verify", "--quick"), ("doctor",)):
            done = run(*where, *verb)
            assert (done.code, f"WRONG: {what}" in done.out) == (4, True), done.out
            assert not secret or secret.decode()[-40:-6] not in done.out
    # A rotation whose writer died before the last step: the key that follows lies beside the old one.
    key.write_bytes(old)
    key.with_name("key.next").write_bytes(new)
    assert checked(lake).ok
    key.with_name("key.next").unlink()
    key.unlink()  # whoever verifies need not have it
    assert checked(lake).ok
    (lake.layout.ledger / "elsewhere").write_bytes(old)
    with lake.layout.config.open("a") as config:
        config.write('[ledger]\nkey = "ledger/elsewhere"\n')
    assert [each.where for each in checked(lake).problems] == ["ledger/elsewhere"]


def test_a_key_behind_a_link_stays_there(lake: AuditLake, tmp_path: Path) -> None:
    """Where the key's name in the lake is a link to a safe place, the key that follows lies in that place too."""
    key = lake.layout.ledger / "key"
    safe = key.rename(tmp_path / "safe")
    key.symlink_to(safe)
    lake.ledger.rotate_key()

    assert key.is_symlink()
    assert safe.read_text().startswith("PRIVATE+KEY+")
    assert checked(lake).ok


def test_proofs_follow_the_keys(lake: AuditLake) -> None:
    """A proof holds with every key from which notes in it lead to its signer; a stranger's notes lead nowhere."""
    first = public(lake)
    before = lake.ledger.prove("e1")
    second, third = lake.ledger.rotate_key(), lake.ledger.rotate_key()
    after = lake.ledger.prove("e1")

    for kept in (first, second, third, f"{third}\n"):
        assert verify_proof(after, kept).signed_by == kept.strip()
    assert verify_proof(before, first).signed_by == first
    with pytest.raises(LedgerError, match="is not signed by") as raised:
        verify_proof(before, second)
    assert "check with the older one" in (raised.value.hint or "")

    proof = json.loads(after)
    stranger = new_signer(keys.read_settings(lake.layout).origin)
    for kept in (first, str(stranger.verifier)):  # a key that nobody named, and one that names itself
        text = Checkpoint(stranger.name, 1, bytes(32), (
            f"auditlake/version 0 {'0' * 64}", f"auditlake/new-key {stranger.verifier}",
        )).text  # fmt: skip
        forged = {"old": kept, "new": str(stranger.verifier), "note": bytes(sign(text, [stranger])).decode()}
        changed = proof | {"checkpoint": _signed_by(proof["checkpoint"], stranger), "rotations": [forged]}
        with pytest.raises(LedgerError, match=r"does not vouch|is not signed by"):
            verify_proof(json.dumps(changed).encode(), first)
    for number, name in ((0, "old"), (0, "new"), (1, "old"), (1, "note")):
        changed = json.loads(after)
        changed["rotations"][number][name] += "x"
        with pytest.raises(LedgerError, match="does not vouch for it"):
            verify_proof(json.dumps(changed).encode(), first)


def _signed_by(note: str, signer: Signer) -> str:
    return bytes(sign(note.partition("\n\n")[0] + "\n", [signer])).decode()
