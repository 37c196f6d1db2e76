"""What the two reports were judged by: the files that the lake has now, or those that runs kept by their digests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from auditlake.changes.points import Side
from auditlake.context import LakeContext
from auditlake.errors import ReportError
from auditlake.packs.effective import LakePacks, lake_files, lake_policies, read_packs
from auditlake.runs.judged_by import find
from auditlake.yaml_reader import digest_of

_HINT = "reports on record keep what they are judged by; name a folder with the policies of then with --policies"


@dataclass(frozen=True, slots=True)
class Files:
    """The files that one report was judged by. Two are equal where their contents are."""

    policies: Mapping[str, bytes]
    """By policy."""
    packs: LakePacks | None = None
    """Of a framework."""
    in_lake: bool = field(default=False, compare=False)
    """Whether the lake is judged by them now."""


class JudgedBy:
    """Finds the files of reports.

    Args:
        context: The lake.
        subject: The policy, or the pack.
        is_framework: Whether it is a pack.
        folder: An empty folder, where policies are laid out.
        named: Folders with the policies that a side was judged by, by the side's identity.
    """

    def __init__(
        self, context: LakeContext, subject: str, is_framework: bool, folder: Path,
        named: Mapping[int, str | Path | None],
    ) -> None:  # fmt: skip
        self._context, self._subject, self._is_framework = context, subject, is_framework
        self._folder, self._named = folder, named
        self._files: dict[int, Files] = {}
        self._laid_out: dict[int, Path] = {}

    def of(self, side: Side) -> Files:
        """Return what a report was judged by.

        Raises:
            ReportError: A file is not there any more.
        """
        if id(side) not in self._files:
            self._files[id(side)] = self._of_pack(side) if self._is_framework else self._of_policy(side)
        return self._files[id(side)]

    def folder(self, files: Files) -> Path | None:
        """Return a folder with the policies; None: judge by those of the lake."""
        if files.in_lake:
            return None
        if id(files) not in self._laid_out:
            folder = self._laid_out[id(files)] = self._folder / f"{len(self._laid_out)}"
            folder.mkdir()
            for name, content in files.policies.items():
                (folder / f"{name}.yaml").write_bytes(content)
        return self._laid_out[id(files)]

    @cached_property
    def _now(self) -> Mapping[str, bytes]:
        """The policies of the lake as they are, by id."""
        config = self._context.config
        policies = lake_policies(self._context.layout, config.event_types, tolerant=True, is_later=True)
        return {each.id: each.content for each in policies if each.is_readable}

    def _of_policy(self, side: Side) -> Files:
        if (own := self._named.get(id(side))) is not None:
            there = {path.stem: path.read_bytes() for path in sorted(Path(own).glob("*.yaml")) if path.is_file()}
            return Files({**self._now, **there})
        if digest_of(self._now.get(self._subject, b"")) == side.point.policy:
            return Files(self._now, in_lake=True)
        return Files({**self._now, self._subject: self._kept(side.point.policy, self._subject)})

    def _of_pack(self, side: Side) -> Files:
        document = side.document or {}
        layout, evidence = self._context.layout, document["evidence"]
        files, settings = lake_files(layout)
        named = {"": evidence["settings_digest"], self._subject: evidence["pack_digest"]}
        if document["extends"] is not None:
            named[document["extends"]] = evidence["base_digest"]
        now = {**files, "": settings or b""}
        for name, digest in named.items():
            if digest is not None and digest_of(now.get(name, b"")) != digest:
                now[name] = self._kept(digest, name or "frameworks.yaml")
        packs = read_packs(
            {name: now[name] for name in now if name}, now[""], self._context.config.event_types, is_later=True
        )
        policies = {
            each["policy"]: content
            if (content := self._now.get(each["policy"])) and digest_of(content) == each["digest"]
            else self._kept(each["digest"], each["policy"])
            for each in document["policies"]
        }
        return Files(policies, packs)

    def _kept(self, digest: Any, what: str) -> bytes:
        content = find(self._context.layout, digest)
        if content is None:
            raise ReportError(f"{what} as it was judged by is not there any more: {digest}", hint=_HINT)
        return content
