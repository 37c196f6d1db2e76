"""What every storage does, as a machine that calls it and keeps for each name what it may hold."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from auditlake.errors import StorageError
from auditlake.storage.model import Storage
from auditlake.storage.objects import ObjectStore
from tests.storage.conftest import FAULTS

MADE = ("log/0", "log/1", "log-a", "log/sub/x", "top.json", "days/d=1/p+q@~", "days/d=1/q", "days/d=10/p")
"""Names that are made once; none is a folder of another, and some sort otherwise than their folders do."""
SWAPPED = ("state", "log/pointer")
"""Names that are replaced."""
FOLDERS = ("", "log", "days", "days/d=1", "none/at/all")

values = st.sampled_from([b"", b"a", b"b", b"long" * 5000])
maybe = st.one_of(st.none(), values)
spoilt = st.lists(st.sampled_from(FAULTS), max_size=5)


class Law(RuleBasedStateMachine):
    """Calls of one storage, in any order; each may be spoilt.

    Args:
        storage: An empty one.
        folder: For files to make others of.
        spoil: Is told what becomes of the requests of the next call, and returns what checks how many there were, given
            how many names it was about; None where nothing can be spoilt.
        can_swap: Whether it can replace files.
    """

    def __init__(
        self,
        storage: Storage | ObjectStore,
        folder: Path,
        spoil: Callable[[Sequence[str]], Callable[[int], None]] | None = None,
        *,
        can_swap: bool = True,
    ) -> None:
        super().__init__()
        self.storage = storage
        self.folder = folder
        self.spoil = spoil
        self.can_swap = can_swap
        self.held: dict[str, set[bytes | None]] = {name: {None} for name in (*MADE, *SWAPPED)}

    def call(self, faults: Sequence[str], names: int, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return the answer of a call, or the error that tells that there was none."""
        check = self.spoil(faults) if self.spoil else None
        try:
            return function(*arguments)
        except StorageError as error:
            assert self.spoil and faults
            return error
        finally:
            if check:
                check(names)

    @rule(
        files=st.dictionaries(st.sampled_from(MADE), values, min_size=1, max_size=3), as_files=st.booleans(),
        faults=spoilt,
    )  # fmt: skip
    def create(self, files: dict[str, bytes], as_files: bool, faults: Sequence[str]) -> None:
        given: dict[str, Any] = dict(files)
        if as_files:
            for number, (name, data) in enumerate(files.items()):
                given[name] = self.folder / f"draft-{number}"
                (self.folder / f"draft-{number}").unlink(missing_ok=True)
                (self.folder / f"draft-{number}").write_bytes(data)
        taken = self.call(faults, len(files), self.storage.create, given)
        for name, data in files.items():
            held = self.held[name]
            if isinstance(taken, StorageError):
                held |= {data} if None in held else set()
            elif name in taken:
                self.held[name] = held - {None, data}
            else:
                assert held & {None, data}, name
                self.held[name] = {data}
                assert not as_files or not given[name].exists()
            assert self.held[name], f"{name} was {held}"

    @precondition(lambda self: self.can_swap)
    @rule(name=st.sampled_from(SWAPPED), data=values, seen=maybe, faults=spoilt)
    def swap(self, name: str, data: bytes, seen: bytes | None, faults: Sequence[str]) -> None:
        held = self.held[name]
        done = self.call(faults, 1, self.storage.swap, name, data, seen)
        if isinstance(done, StorageError):
            held |= {data} if seen in held else set()
        elif done:
            assert held & {seen, data}
            self.held[name] = {data}
        else:
            self.held[name] = held - {seen, data}
            assert self.held[name], f"{name} was {held}"

    @precondition(lambda self: self.can_swap)
    @rule(name=st.sampled_from(SWAPPED), data=values)
    def swap_what_is_there(self, name: str, data: bytes) -> None:
        self.swap(name, data, self.read_one(name, ()), ())

    @rule(name=st.sampled_from((*MADE, *SWAPPED)), faults=spoilt)
    def read(self, name: str, faults: Sequence[str]) -> None:
        self.read_one(name, faults)

    def read_one(self, name: str, faults: Sequence[str]) -> Any:
        try:
            data = self.call(faults, 1, self.storage.read, name)
        except FileNotFoundError:
            data = None
        if not isinstance(data, StorageError):
            assert data in self.held[name]
            self.held[name] = {data}
        return data

    @rule(name=st.sampled_from(MADE), begin=st.integers(0, 3), length=st.integers(1, 3))
    def read_part(self, name: str, begin: int, length: int) -> None:
        data = self.read_one(name, ())
        try:
            part = self.storage.read(name, (begin, begin + length))
        except FileNotFoundError:
            assert data is None
        except OSError:
            assert len(data) < begin + length
        else:
            assert part == data[begin : begin + length]
            assert len(part) == length

    @rule(folder=st.sampled_from(FOLDERS), after=st.sampled_from(("", "log", "log-a", *MADE, *SWAPPED)),
          faults=spoilt)  # fmt: skip
    def names(self, folder: str, after: str, faults: Sequence[str]) -> None:
        listed = self.call(faults, 1, self.storage.names, folder, after)
        if isinstance(listed, StorageError):
            return
        assert listed == sorted(listed)
        asked = {name for name in self.held if name > after and (not folder or name.startswith(f"{folder}/"))}
        assert set(listed) <= asked
        for name in asked:
            self.held[name] = self.held[name] - {None} if name in listed else self.held[name] & {None}
            assert self.held[name], name

    @rule(names=st.sets(st.sampled_from((*MADE, *SWAPPED)), max_size=3), faults=spoilt)
    def remove(self, names: Collection[str], faults: Sequence[str]) -> None:
        answer = self.call(faults, len(names), self.storage.remove, names)
        for name in names:
            self.held[name] = self.held[name] | {None} if isinstance(answer, StorageError) else {None}

    @precondition(lambda self: hasattr(self.storage, "local"))
    @rule(name=st.sampled_from(MADE), faults=spoilt)
    def local(self, name: str, faults: Sequence[str]) -> None:
        try:
            paths = self.call(faults, 1, self.storage.local, [name])
        except FileNotFoundError:
            assert None in self.held[name]
            self.held[name] = {None}
            return
        if not isinstance(paths, StorageError):
            (path,) = paths
            data = Path(path).read_bytes()
            assert data in self.held[name]
            self.held[name] = {data}

    def teardown(self) -> None:
        for name in self.held:
            self.read_one(name, ())
