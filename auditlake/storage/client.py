"""obstore, the client of object stores: how it is opened, and what of its errors is fit to be told.

Credentials come from the environment alone. The client's messages may name signed URLs, so nothing of them is repeated
but the status and the code that the store answered.
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from auditlake.errors import StorageError

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Client

CLIENT: dict[str, Any] = {"connect_timeout": "5s", "read_timeout": "30s", "timeout": "120s"}
"""How long a store may take to answer a request."""
RETRIES: dict[str, Any] = {"max_retries": 4, "retry_timeout": timedelta(seconds=180)}
"""How often the client makes a request again that changes nothing, and how long after the first one."""
VARIABLES = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION; for a public bucket AWS_SKIP_SIGNATURE=true",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS; for a public bucket GOOGLE_SKIP_SIGNATURE=true",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
"""Where credentials come from, by the scheme of a URL."""
_ADDRESS = re.compile(r"(?P<scheme>s3|gs|az)://[A-Za-z0-9._-]+(/[^?#@]*)?\Z")
_PLAIN = {"s3": "AWS_ALLOW_HTTP", "gs": "GOOGLE_ALLOW_HTTP", "az": "AZURE_ALLOW_HTTP"}
"""The variables that allow a server without TLS."""
_NO_CREDENTIALS = re.compile(
    r"169\.254\.169\.254|metadata\.google|Error performing token request|Account must be specified|[Cc]redential"
    r"|Invalid Access Key|SAS query|service account"
)
"""How the client says that it cannot read credentials, or found none: it then asks the machine that it runs on."""

_users: dict[str, int] = {}


def client() -> tuple[Any, tuple[type[Exception], type[Exception]]]:
    """Return the client's module, and the errors that are its own; a missing object is a ``FileNotFoundError``.

    Raises:
        ImportError: It is not installed.
    """
    import obstore

    return obstore, (obstore.exceptions.BaseError, ValueError)


def scheme_of(url: str) -> str:
    """Return the scheme of the address of a lake: ``s3``, ``gs`` or ``az``.

    Raises:
        StorageError: It is none of a bucket. It is not repeated, since it may have a secret.
    """
    if (match := _ADDRESS.match(url)) is None:
        raise StorageError("the address of a lake", "expected s3://, gs:// or az://, a bucket, and perhaps a folder")
    return match["scheme"]


def opened(url: str, **options: Any) -> Client:
    """Return what the client opens at a URL; no request is made.

    Args:
        url: ``s3://``, ``gs://`` or ``az://``, the bucket, and perhaps a folder in it.
        options: What else the client is told.

    Raises:
        Exception: One of the client's own errors.
    """
    from obstore.store import from_url

    # Options that are handed over stand in place of all those of the environment.
    is_plain = os.environ.get(_PLAIN[url[:2]], "").lower() in {"1", "true"}
    return from_url(url, **{"client_options": {**CLIENT, "allow_http": is_plain}, **options})


def is_of_this_process() -> bool:
    """Return whether the client may be used here: not in a process that was forked from one that has used it.

    Both would wait for their sockets at one place of the kernel, and either could crash by what the other did there.
    """
    return _users.setdefault("process", os.getpid()) == os.getpid()


def status_of(error: Exception) -> int | None:
    """Return the status of HTTP that an error of the client is about; None if there was no answer."""
    match = re.search(r"status code: (\d{3})\b", _text(error))
    return int(match[1]) if match else None


def refusal(scheme: str, error: Exception) -> tuple[str, str]:
    """Return why a store could not be used, in a few words, and what to do about it."""
    text = _text(error)
    status, code = status_of(error), re.search(r"<Code>(\w{1,60})</Code>", text)
    hint = f"Set in the environment: {VARIABLES.get(scheme)}."
    if _NO_CREDENTIALS.search(text):
        return "the environment has no credentials for it that can be used", hint
    if status or code:
        answer = " ".join([*([str(status)] if status else []), *([code[1]] if code else [])])
        is_allowed = status not in {400, 401, 403}
        check = "Check the name, and AWS_REGION where it is in S3." if is_allowed else f"Check its rights. {hint}"
        return f"the store answered {answer}", check
    if "redirect" in text.lower():
        region = "Set AWS_REGION to the bucket's." if scheme == "s3" else "Check the name."
        return "the store says that it lies elsewhere", region
    if "builder error" in text:
        return "the endpoint is a server without TLS", f"Set {_PLAIN.get(scheme)}=true if that is right."
    why = "did not answer in time" if re.search(r"time(d )?out", text) else "cannot be reached"
    return f"the store {why}", "Try again; what was done stays done."


def _text(error: Exception) -> str:
    return str(error).partition("Debug source")[0]
