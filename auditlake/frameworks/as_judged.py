"""What a report was judged by: the files that the lake has now, or those that it kept, found by their digests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auditlake.context import LakeContext
from auditlake.disk.files import SMALL, read_file
from auditlake.disk.layout import Layout
from auditlake.errors import ReportError
from auditlake.packs.effective import LakePacks, lake_files, lake_policies, read_packs
from auditlake.packs.settings import FILE, revisions_in
from auditlake.runs.judged_by import find
from auditlake.yaml_reader import digest_of


@dataclass(frozen=True, slots=True)
class Files:
    """The files that a report was judged by. Two are equal where their contents are."""

    policies: Mapping[str, bytes]
    """By policy: those of the report as they were, all others as they are."""
    packs: LakePacks | None = None
    """Of a framework; None of a policy's report."""
    in_lake: bool = field(default=False, compare=False)
    """Whether the policies are those that the lake has now."""
    missing: Mapping[str, str] = field(default_factory=dict, compare=False)
    """The digests of files that are not there any more, by name; what is there now stands for them."""


class AsJudged:
    """Finds the files that reports were judged by.

    Args:
        context: The lake.
        folder: An empty folder, where policies are laid out.
    """

    def __init__(self, context: LakeContext, folder: Path) -> None:
        self._context, self._folder = context, folder
        self._laid_out: dict[int, Path] = {}

    def policy(self, policy_id: str, digest: str, given: str | Path | None = None) -> Files:
        """Return what the report of a policy was judged by.

        Args:
            policy_id: The policy.
            digest: ``sha256:`` and hex digits of its file, as the report or its run names it.
            given: A folder with policies as they were then, which go ahead of those that the lake has.

        Raises:
            ReportError: The folder has another file of this name.
        """
        now, found = self._now(None), _Found(self._context.layout, given)
        own = {policy_id: found.policy(policy_id, digest, now.get(policy_id))}
        policies = {**now, **{path.stem: content for path, content in found.given.items()}, **_there(own)}
        return Files(policies, in_lake=policies == now, missing=found.missing)

    def framework(self, document: Mapping[str, Any], given: str | Path | None = None) -> Files:
        """Return what the report of a framework was judged by.

        Args:
            document: Its JSON.
            given: A folder with policies and packs as they were then, found by their digests as the lake's are.

        Raises:
            PackError: The settings of the lake's packs cannot be read.
            ReportError: The folder has another file of the name of a policy.
        """
        layout, evidence = self._context.layout, document["evidence"]
        found = _Found(layout, given)
        files, settings = lake_files(layout)
        settings = found.file(FILE, evidence["settings_digest"], settings)
        for pack_id, revision in revisions_in(settings).items():
            if (old := layout.old_pack(pack_id, revision)).is_file():
                files[pack_id] = read_file(old, within=layout.root, limit=SMALL)
        for pack_id, name in ((document["pack_id"], "pack_digest"), (document["extends"], "base_digest")):
            if pack_id is not None:
                files |= _there({pack_id: found.file(f"pack {pack_id}", evidence[name], files.get(pack_id))})
        packs = read_packs(files, settings, self._context.config.event_types, is_later=True)
        now = self._now(packs)
        asked = {each["policy"]: each["digest"] for each in document["policies"]}
        own = {name: found.policy(name, digest, now.get(name)) for name, digest in asked.items()}
        policies = {**now, **_there(own)}
        return Files(policies, packs, in_lake=policies == now, missing=found.missing)

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

    def _now(self, packs: LakePacks | None) -> Mapping[str, bytes]:
        """Return the policies of the lake as they are, those of its packs as of the packs that are given."""
        context = self._context
        policies = lake_policies(context.layout, context.config.event_types, tolerant=True, is_later=True, packs=packs)
        return {each.id: each.content for each in policies if each.is_readable}


class _Found:
    """Files by their digests, and which were not found."""

    def __init__(self, layout: Layout, given: str | Path | None) -> None:
        self._layout, self.missing = layout, dict[str, str]()
        there = sorted(Path(given).glob("*.yaml")) if given is not None else ()
        self.given = {path: path.read_bytes() for path in there if path.is_file()}
        self._by_digest = {digest_of(content): content for content in self.given.values()}

    def policy(self, policy_id: str, digest: str, now: bytes | None) -> bytes | None:
        for path, content in self.given.items():
            if path.stem == policy_id and (own := digest_of(content)) != digest:
                message = f"{path} is not what the report was judged by: expected {digest}, got {own}"
                raise ReportError(message, hint="name a folder with the policies as they were then, or none")
        return self.file(policy_id, digest, now)

    def file(self, name: str, digest: str | None, now: bytes | None) -> bytes | None:
        """Return a file by its digest; where it is not there any more, note so and return it as it is now."""
        if digest is None or (now is not None and digest_of(now) == digest):
            return now
        found = self._by_digest.get(digest) or find(self._layout, digest)
        if found is None:
            self.missing[name] = digest
            return now
        return found


def _there(files: Mapping[str, bytes | None]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if content is not None}
