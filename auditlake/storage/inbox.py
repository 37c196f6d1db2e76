"""What hosts propose to commit to a lake in a bucket, as objects of it: ``inbox/<host>/<number>.json``.

Each host has a counter, which goes up with each proposal; the table says how far that has come. So what it has passed
is of no more use to anyone. A proposal that cannot be committed gets an answer beside it, which its host takes away.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from auditlake.storage.objects import AT_ONCE, ObjectStore

_FOLDER = "inbox"
_NAME = re.compile(rf"{_FOLDER}/(\d{{1,7}})/(\d{{13}})\.(json|refused)\Z")
_MOST = 64
"""How many proposals are taken at a time."""

Place = tuple[int, int]
"""A host and the number of a proposal of it."""


class Inbox:
    """The proposals of the hosts of a lake.

    Every method raises ``OSError`` where the bucket cannot be asked.

    Args:
        objects: The bucket.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def put(self, place: Place, data: bytes) -> bool:
        """Put a proposal there; return whether that could be done, since no other has this number."""
        return not self._objects.create({_name(place): data})

    def waiting(self, reached: Mapping[int, int]) -> dict[Place, bytes]:
        """Return the next proposal of each host, and remove what the table has passed.

        Args:
            reached: How far the table has come, by host.
        """
        listed = [(match, name) for name in self._objects.names(_FOLDER) if (match := _NAME.match(name))]
        places = {name: (int(match[1]), int(match[2])) for match, name in listed}
        passed = [name for name, (host, number) in places.items() if number <= reached.get(host, 0)]
        refused = {_name(place) for name, place in places.items() if name.endswith(".refused")}
        following: dict[int, str] = {}
        for name in sorted(places.keys() - passed - refused):
            if name.endswith(".json"):
                following.setdefault(places[name][0], name)
        wanted = list(following.values())[:_MOST]
        with ThreadPoolExecutor(AT_ONCE, "auditlake-get") as pool:
            removed = pool.submit(self._objects.remove, passed)
            found = zip(wanted, pool.map(self._objects.found, wanted), strict=True)
            there = {places[name]: data for name, data in found if data is not None}
        removed.result()
        return there

    def refuse(self, place: Place, why: str) -> None:
        """Answer a proposal that cannot be committed."""
        self._objects.create({_name(place, "refused"): why.encode()})

    def refusal(self, place: Place) -> str | None:
        """Return why a proposal was refused, and take it away with its answer; None if it was not."""
        if (why := self._objects.found(_name(place, "refused"))) is None:
            return None
        self.remove(place)
        return why.decode(errors="replace")

    def remove(self, place: Place) -> None:
        """Remove a proposal, and the answer to it."""
        self._objects.remove([_name(place), _name(place, "refused")])


def _name(place: Place, ending: str = "json") -> str:
    host, number = place
    return f"{_FOLDER}/{host}/{number:013d}.{ending}"
