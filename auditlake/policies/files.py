"""The policies of a lake: files in ``LAKE/policies``, and those that auditlake brings for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from auditlake.context import LakeContext
from auditlake.disk.files import SMALL, read_file
from auditlake.disk.layout import POLICY_ID, Layout
from auditlake.errors import PolicyError, PolicyNotFoundError
from auditlake.policies.loader import load_policy
from auditlake.policies.model import Policy
from auditlake.storage.lake import remove, write
from auditlake.yaml_reader import near

_MEND = "correct every line listed; auditlake policy add --replace takes the file again"
READY = Path(__file__).resolve().parent / "ready"
"""Where policies of general use lie; a lake takes them by name."""

LLMGUARDIAN = Path(__file__).resolve().parent / "llmguardian"
"""Where the policies of LLMGuardian lie, which its audit monitor is judged by."""

PolicySet = Literal["starter", "llmguardian", "none"]
"""What a new lake is judged by."""

SETS: Mapping[PolicySet, tuple[Path, ...]] = {
    "starter": tuple(READY / f"{name}.yaml" for name in (
        "data_breach", "failed_logins", "guessed_password", "injected_prompt", "logging_off", "refused_access",
    )),
    "llmguardian": tuple(LLMGUARDIAN / f"{name}.yaml" for name in (
        "authentication_monitoring", "data_access_tracking", "security_compliance",
    )),
    "none": (),
}  # fmt: skip
"""Which policies init writes into a lake, by the name of the set.

Those of the starter set find nothing on an ordinary day, miss nothing where a log has no such events, and keep nothing.
"""


def ready_names() -> list[str]:
    """Return the names of the ready policies."""
    return sorted(file.stem for file in READY.glob("*.yaml"))


def ready_or_file(name: str) -> Path:
    """Return what lies at a path, or the file of a ready policy where nothing does (a folder counts as nothing).

    Raises:
        PolicyNotFoundError: It is neither.
    """
    file = Path(name)
    with suppress(OSError):  # no file has a name of that length
        if file.exists() and not file.is_dir():
            return file
    if name in (ready := ready_names()):
        return READY / f"{name}.yaml"
    raise PolicyNotFoundError(f"there is neither a file nor a ready policy {name[:100]!r}", hint=near(name, ready))


def write_policies(layout: Layout, files: Iterable[Path]) -> None:
    """Copy policies into a new lake."""
    for file in files:
        write(layout, layout.policies / file.name, file.read_bytes())


def chosen(policies: Sequence[Policy], policy_ids: Sequence[str]) -> tuple[Policy, ...]:
    """Return the policies that are named, in the order named and each once; all of them if none is.

    Raises:
        PolicyNotFoundError: One is not there; the message suggests one that is.
    """
    by_id = {policy.id: policy for policy in policies}
    for name in policy_ids:
        if name not in by_id:
            raise no_such_policy(name, by_id)
    return tuple(by_id[name] for name in dict.fromkeys(policy_ids)) if policy_ids else tuple(policies)


def no_such_policy(name: str, known: Iterable[str]) -> PolicyNotFoundError:
    """Return the error for a name that no policy has, with the policies that are named like it or all of them."""
    return PolicyNotFoundError(f"this lake has no policy {name[:100]!r}", hint=near(name, known))


def refuse_unreadable(policies: Sequence[Policy]) -> None:
    """Raise what is wrong with the files of policies that could not be read.

    Raises:
        PolicyError: There is one.
    """
    if faults := tuple(policy.fault for policy in policies if policy.fault is not None):
        raise PolicyError(faults, hint=_MEND)


def add_policy(context: LakeContext, file: Path, *, replace: bool) -> Policy:
    """Check a policy file and copy it into the lake, whole or not at all; the ledger says so.

    Raises:
        PolicyError: It cannot be read or used, or the lake has another of its name and ``replace`` is not set.
    """
    from auditlake.store.turn import recorded_policies

    policy = read_policy(file, context.config.event_types)
    with recorded_policies(context):
        refuse_other(context.layout, policy, replace=replace)
        write(context.layout, context.layout.policy(policy.id), policy.text.encode("utf-8"))
    return policy


def refuse_other(layout: Layout, policy: Policy, *, replace: bool) -> None:
    """Refuse a policy where the lake has another of its name, unless it is to replace that one.

    Raises:
        PolicyError: There is one.
    """
    target = layout.policy(policy.id)
    if not replace and target.exists() and read_file(target, within=layout.root) != policy.text.encode("utf-8"):
        raise PolicyError(f"the lake has another policy {policy.id!r}", hint="--replace puts this one in its place")


def remove_policy(context: LakeContext, policy_id: str) -> None:
    """Take a policy's file out of the lake, whether or not it can be used; the ledger says so.

    Raises:
        PolicyNotFoundError: There is none of that id.
    """
    from auditlake.store.turn import recorded_policies

    layout = context.layout
    refuse_unknown(layout, policy_id)
    with recorded_policies(context):
        remove(layout, [layout.policy(policy_id)])


def refuse_unknown(layout: Layout, policy_id: str) -> None:
    """Refuse the id of a policy that the lake does not have.

    Raises:
        PolicyNotFoundError: There is none of that id.
    """
    if not POLICY_ID.fullmatch(policy_id) or not layout.policy(policy_id).is_file():
        raise no_such_policy(policy_id, (file.stem for file in layout.policies.glob("*.yaml")))


def read_policy(file: Path, event_types: frozenset[str], *, in_use: bool = False, within: Path | None = None) -> Policy:
    """Return a policy from any file, or from the lake that it is ``within``; the file's name is its id.

    Raises:
        PolicyError: It cannot be read or used.
    """
    try:
        text = read_file(file, within=within, limit=SMALL)
    except OSError as error:
        raise PolicyError(f"{file} cannot be read: {error.strerror}") from error
    return load_policy(text, file=str(file), policy_id=file.name.removesuffix(".yaml"), event_types=event_types,
        in_use=in_use,
    )  # fmt: skip
