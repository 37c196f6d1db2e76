"""Who runs this process, as the system knows them."""

from __future__ import annotations

import os


def login_name() -> str:
    """The name that the system has for the user of this process, whatever the environment says."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without a name
        return f"uid {os.getuid()}"
