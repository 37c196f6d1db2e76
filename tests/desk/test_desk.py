"""A desk in a process of its own: what it answers, whom, how many, and how it ends."""

from __future__ import annotations

import json
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click import UsageError

import auditlake
from auditlake.cli.sql import opened_session
from auditlake.desk import door
from auditlake.desk.client import DeskSession
from auditlake.errors import DeskError, RefusedError, StoppedError
from auditlake.machine import login_name
from tests.desk.desks import OPEN, ROOT, Listening, asks, connected, listening, received, told
from tests.sandbox.lakes import SECRET, prints
from tests.sandbox.test_attacks import ODD, STATEMENTS, placed
from tests.waiting import HANG_SECONDS, children, has_ended, until

ENDLESS = "select levenshtein(repeat('a', 2000000), repeat('b', 2000000))"
ACCOUNTS = Path(__file__).with_name("asker.py")


def records(lake: auditlake.AuditLake, session_id: str) -> list[dict[str, object]]:
    rows = lake.events(event_type="audit_log_access", session_id=session_id).pl().to_dicts()
    return [row | {"details": json.loads(row["details"])} for row in rows]


def test_answers_are_those_of_the_lake(session: DeskSession, lake: auditlake.AuditLake) -> None:
    """A desk gives what the lake's owner gets, with the limits that the owner set, and puts it on record."""
    query = "select user_id, max(timestamp) as last from events where event_type = 'login' group by all order by all"
    answer = session.sql(query)
    bound = session.sql("select $a + 1, $b", {"a": 41, "b": ["x"]}).fetchall()

    assert answer.arrow().equals(lake.sql(query).arrow())
    assert bound == [(42, ["x"])]
    assert (session.principal, session.snapshot) == (login_name(), lake.snapshot().version)
    (first,) = (each for each in records(lake, session.id) if each["event_id"] == answer.event_id)
    assert (first["user_id"], first["source"], first["status"]) == (login_name(), "auditlake.self", "success")
    assert first["details"]["system_user"] == login_name()
    assert first["details"]["uid"] == str(os.getuid())
    assert first["details"]["query"] == query
    own = "select system_user from queries where event_id = $id"
    assert session.sql(own, {"id": answer.event_id}).fetchall() == [(login_name(),)]


def test_the_attack_list(session: DeskSession, lake: auditlake.AuditLake) -> None:
    """Every statement of the attack list is refused at the desk as well, names no place, and has no effect."""
    out = lake.layout.root.parent / "out"
    before, beside = prints(lake.layout.root), prints(out)
    let_through = []
    for statement in (*(placed(each, lake) for each in STATEMENTS), *ODD):
        try:
            session.sql(statement)
        except RefusedError as refused:
            if SECRET in str(refused) or "\n" in str(refused):
                let_through.append(statement)
        else:
            let_through.append(statement)

    assert let_through == []
    assert prints(lake.layout.root) == before
    assert prints(out) == beside


def test_what_cannot_be_opened(desk: Listening) -> None:
    """Nobody lifts the owner's limits at a desk."""
    with pytest.raises(RefusedError, match="at most 100,000 rows"):
        auditlake.audit_session(desk.path, rows=0)


def test_the_command_line(desk: Listening, tmp_path: Path) -> None:
    """The shell asks at a desk without a lake, canned queries too; nobody says there who they are."""
    there = {**os.environ, "AUDITLAKE_DESK": str(desk.path)}
    shell = subprocess.run(
        [sys.executable, "-m", "auditlake", "--lake", str(tmp_path / "none"), "shell"], cwd=ROOT, text=True, env=there,
        input="select 6 * 7 as n;\n.run failed_logins\n.queries\n.tables\n", capture_output=True, check=False,
    )  # fmt: skip

    assert shell.returncode == 0, shell.stderr
    assert {"42", "failed_logins", "dictionary"} <= set(shell.stdout.split())
    who = {"principal": "erika", "as_of": None, "snapshot": None, "rows": None}
    with pytest.raises(UsageError, match="the account asks"), opened_session("none", desk=str(desk.path), **who):
        pass


def test_who_asks(desk: Listening, lake: auditlake.AuditLake) -> None:
    """Accounts without a right over any file ask by name, or by a group; others not at all, whatever they say."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another account")
    daemon, mail = pwd.getpwnam("daemon"), pwd.getpwnam("mail")
    before = (lake.layout.root / "auditor.yaml").read_text()
    (lake.layout.root / "auditor.yaml").write_text(
        before + "  daemon: {columns: {user_id: hide}}\n"
        "groups:\n  mail: {columns: {user_id: {truncate: 1}}, rows: user_id = 'bob'}\n  daemon: everything\n"
    )
    tries = [(daemon.pw_uid, daemon.pw_gid), (54_321, mail.pw_gid), (54_321, 54_321)]
    words = [sys.executable, str(ACCOUNTS), str(desk.path), str(lake.layout.root), json.dumps(tries)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    (lake.layout.root / "auditor.yaml").write_text(before)
    assert done.returncode == 0, done.stderr
    by_name, by_group, other = map(json.loads, done.stdout.splitlines())

    assert [each["files"] for each in (by_name, by_group, other)] == [[]] * 3
    assert (by_name["code"], by_name["rows"]) == (0, [{"user_id": None, "n": 400}])
    assert (by_group["code"], by_group["rows"]) == (0, [{"user_id": "b", "n": 100}])
    assert (other["code"], other["rows"]) == (3, None)
    assert "'uid 54321' may not ask" in other["errors"]
    asked = lake.events(event_type="audit_log_access", user_id=["daemon", "uid 54321"]).pl()
    found = [(row["user_id"], json.loads(row["details"])["uid"]) for row in asked.to_dicts()]
    assert sorted(found) == [("daemon", str(daemon.pw_uid)), ("uid 54321", "54321")]


@pytest.mark.usefixtures("session")
def test_room(desk: Listening) -> None:
    """An account has so many sessions at once, and a hundred connections get no more; all are answered."""
    until(lambda: len(children(desk.process.pid)) == 1)  # those of the test before have ended
    connections = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(100)]
    for each in connections:
        each.settimeout(HANG_SECONDS)
        each.connect(str(desk.path))
    turned_away = []
    for number, each in enumerate(connections[2:]):
        (said,) = told(received(each))
        turned_away.append(said["error"]["message"])
        if number % 10 == 0:  # the three that say nothing are ended after a while, and others take their place
            assert len(children(desk.process.pid)) <= 3
    assert set(turned_away) == {"an account has at most 3 sessions at once"}
    with pytest.raises(DeskError, match="at most 3 sessions"):
        auditlake.audit_session(desk.path)
    for each in connections:
        each.close()
    until(lambda: len(children(desk.process.pid)) == 1)


@pytest.mark.usefixtures("session")
def test_killed(desk: Listening, lake: auditlake.AuditLake) -> None:
    """A killed sandbox costs its question, a killed session itself, and neither any other; both leave room."""
    until(lambda: len(children(desk.process.pid)) == 1)  # those of the test before have ended
    before = set(children(desk.process.pid))
    with auditlake.audit_session(desk.path) as one:
        (process,) = set(children(desk.process.pid)) - before
        with connected(desk.path):
            pass
        (sandbox,) = children(process)
        os.kill(sandbox, signal.SIGKILL)
        with pytest.raises(StoppedError, match="its process was killed"):
            one.sql("select 1")
        assert one.sql("select 42").fetchall() == [(42,)]
        (sandbox,) = children(process)
        os.kill(process, signal.SIGKILL)
        with pytest.raises(DeskError, match="closed the connection"):
            one.sql("select 43")
    until(lambda: set(children(desk.process.pid)) == before)
    until(lambda: has_ended(sandbox))
    assert [each["status"] for each in records(lake, one.id)] == ["stopped", "success"]


def test_closed(lake: auditlake.AuditLake, tmp_path: Path) -> None:
    """On SIGTERM a desk stops the questions that run, puts them on record, takes its socket away, and exits with 0."""
    with listening(lake, tmp_path / "s", "--mode", "0600") as desk, connected(desk.path) as asker:
        assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600
        asker.sendall(OPEN + asks(ENDLESS))
        session_id = desk.next("opened")["session"]
        (process,) = children(desk.process.pid)
        until(lambda: children(process))
        until(lambda: not asker.recv(1, socket.MSG_PEEK) or _is_at_work(children(process)[0]))
        assert desk.end() == 0
        *_, stopped, closed = told(received(asker))

    assert stopped["error"]["message"] == "stopped: the desk was closed"
    assert closed["error"]["message"] == "the desk was closed"
    assert not (tmp_path / "s").exists()
    assert [each["status"] for each in records(lake, session_id)] == ["interrupted"]


def _is_at_work(pid: int) -> bool:
    """Whether the child has been asked: it uses the processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    before = int(fields[11])
    time.sleep(0.1)
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11]) > before


def test_killed_desk(lake: auditlake.AuditLake, tmp_path: Path) -> None:
    """A killed desk takes its sessions with it."""
    with listening(lake, tmp_path / "s") as desk, connected(desk.path) as asker:
        asker.sendall(OPEN)
        desk.next("opened")  # a process that has only just been forked may not know yet whose end is its own
        (process,) = children(desk.process.pid)
        desk.end(signal.SIGKILL)
        _, closed = told(received(asker))
        assert closed["error"]["message"] == "the desk was closed"
        until(lambda: not Path(f"/proc/{process}").exists())


def test_a_socket_from_systemd(lake: auditlake.AuditLake, tmp_path: Path) -> None:
    """A socket that systemd passes is listened at, and stays when the desk ends."""
    code = (
        "import os, socket, sys; one = socket.socket(socket.AF_UNIX); one.bind(sys.argv[1]); one.listen();"
        "os.dup2(one.fileno(), 3); os.set_inheritable(3, True);"
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1');"
        "os.execv(sys.executable, [sys.executable, '-m', 'auditlake', *sys.argv[2:]])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "s"), "--lake", str(lake.layout.root), "desk", "listen"]
    with subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        desk = Listening(process, tmp_path / "s")
        with connected(desk.path) as asker:
            asker.sendall(bytes(20))
            assert "error" in told(received(asker))[0]
        assert desk.end(signal.SIGINT) == 0
    assert (tmp_path / "s").is_socket()


@pytest.mark.parametrize(("process", "number", "why"), [
    (None, "1", ""), ("own", "0", ""), ("own", "x", ""), ("own", "2", "expected one socket from systemd, got 2"),
])  # fmt: skip
def test_what_systemd_passes(process: str | None, number: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is passed to another process is none of this one's, and several sockets are too many."""
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()) if process else "1")
    monkeypatch.setenv("LISTEN_FDS", number)
    if why:
        with pytest.raises(DeskError, match=why):
            door.passed()
    else:
        assert door.passed() is None
    assert "LISTEN_FDS" not in os.environ


def test_places(tmp_path: Path) -> None:
    """A socket takes the place of a dead one and of nothing else, and gets the mode and group that are asked for."""
    (tmp_path / "file").write_text("kept")
    for name, why in (("file", "already"), ("no/s", "No such file"), ("x" * 120, "too long")):
        with pytest.raises(DeskError, match=why):
            door.opened(tmp_path / name, mode=0o666, group=None)
    with pytest.raises(DeskError, match="no group"):
        door.opened(tmp_path / "s", mode=0o666, group="no such group")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    first = door.opened(tmp_path / "s", mode=0o660, group=_own_group())
    found = (tmp_path / "s").stat()
    assert (found.st_mode & 0o777, found.st_gid) == (0o660, os.getgid())
    with pytest.raises(DeskError, match="another process listens"):
        door.opened(tmp_path / "s", mode=0o660, group=None)
    first.listening.close()
    second = door.opened(tmp_path / "s", mode=0o660, group=None)
    first.close()
    assert (tmp_path / "s").is_socket()
    (tmp_path / "s").unlink()
    (tmp_path / "s").write_text("another's")
    second.close()
    assert (tmp_path / "s").read_text() == "another's"


def _own_group() -> str:
    import grp

    try:
        return grp.getgrgid(os.getgid()).gr_name
    except KeyError:
        pytest.skip("the group of this process has no name")
