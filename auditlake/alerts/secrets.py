"""Secrets by their names: from the environment, or from a folder of files. Only those that are meant for auditlake.

lake.toml may have come with a lake from elsewhere. It can name a secret and where to use it, so what it can name are
variables that begin with ``AUDITLAKE_SECRET_`` and files of one folder, and no other variable or file of the user.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from auditlake.disk.files import SMALL, read_text

_FOLDER = Path("/etc/auditlake/secrets")


class SecretError(ValueError):
    """A secret that is not there, or is none of its kind; the message does not have it."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that is read each time it is used, so that it can be changed."""

    name: str
    """Small letters, digits, ``_`` and ``-``."""

    @property
    def variable(self) -> str:
        """The variable that may have it."""
        return "AUDITLAKE_SECRET_" + self.name.upper().replace("-", "_")

    def read(self) -> str:
        """Return the secret, without white space around it.

        Raises:
            SecretError: There is none.
        """
        if text := os.environ.get(self.variable, "").strip():
            return text
        folder = _folder()
        try:
            text = read_text(folder / self.name, limit=SMALL).strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise SecretError(f"neither {self.variable} nor {folder / self.name} has the secret: {why}") from None
        if not text:
            raise SecretError(f"{folder / self.name} is empty")
        return text


def _folder() -> Path:
    """Return the folder of secrets: one that is named, that of systemd's ``LoadCredential=``, or the usual one."""
    named = os.environ.get("AUDITLAKE_SECRETS") or os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(named) if named else _FOLDER
