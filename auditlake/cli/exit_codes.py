"""The exit codes of every command: the one table, which ``auditlake --help`` and the man page print."""

from __future__ import annotations

DONE = 0
NEGATIVE = 1
USAGE = 2
FAILED = 3
WRONG = 4
CUT_OFF = 5
INTERRUPTED = 130

EXIT_CODES = {
    DONE: "done; a closed pipe does not change the exit code",
    NEGATIVE: "the answer is no: a status named by --fail-on, a failed policy test, a report that differs, nothing "
    "read, a place that could not be collected, too much quarantined, no sandbox here, or a question answered with no",
    USAGE: "wrong usage; nothing was done",
    FAILED: "an error, explained on standard error; or a policy could not be judged, while the others were",
    WRONG: "verify, verify-proof, doctor or nightly found something wrong",
    CUT_OFF: "the answer was cut off at the limit of rows or bytes",
    INTERRUPTED: "interrupted; nothing is half done",
}
"""What each code means."""
