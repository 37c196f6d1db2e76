"""What a host knows of its copy of a lake in a bucket, written down beside it; lost, it is found out again."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass

from auditlake.disk.durable import write_whole
from auditlake.disk.files import read_file
from auditlake.disk.layout import Layout


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the copy; nothing where that was lost."""

    tags: dict[str, str]
    """The tag of each object that changes, as the copy has it."""
    published: dict[str, str]
    """The SHA-256 of each file that people edit, as the bucket has it."""

    @classmethod
    def read(cls, layout: Layout) -> Known:
        """Read what was written down."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            fields = json.loads(read_file(layout.fetched, within=layout.root))
            return cls(dict(fields["tags"]), dict(fields["published"]))
        return cls({}, {})

    def write(self, layout: Layout) -> None:
        """Write it down, but for files that the bucket has no more.

        Raises:
            OSError: The disk refused; what was written before is still there.
        """
        published = {name: digest for name, digest in self.published.items() if name in self.tags}
        write_whole(layout.fetched, json.dumps({"tags": self.tags, "published": published}).encode(), synced=False)
