"""What a lake's key says of a pack: an in-toto statement over its sums, in an envelope of DSSE.

The forms are https://github.com/in-toto/attestation (statement v1) and https://github.com/secure-systems-lab/dsse (v1).
Beside the envelope lie the bytes that are signed and the bare signature, so that ``openssl`` alone can check it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from auditlake.disk import evidence_json
from auditlake.display.canonical_json import canonical
from auditlake.ledger.note import Signer, Verifier

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:auditlake:evidence:1"
ENVELOPE, SIGNED, SIGNATURE = "statement.dsse.json", "statement.signed", "statement.sig"
_STATEMENT = ("_type", "subject", "predicateType", "predicate")
FILES = (ENVELOPE, SIGNED, SIGNATURE)
"""What a signed pack has beside the files that its sums list."""
_SPKI = bytes.fromhex("302a300506032b6570032100")
"""What goes ahead of the 32 bytes of an Ed25519 key in the form that openssl reads (RFC 8410)."""


def public_pem(key: Verifier) -> bytes:
    """Return a public key as PEM."""
    text = base64.encodebytes(_SPKI + key.key).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{text}-----END PUBLIC KEY-----\n".encode()


def signed(payload: bytes) -> bytes:
    """Return the bytes that a signature of an envelope is over (DSSE, pre-authentication encoding)."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def statement_files(signer: Signer, sums: bytes, predicate: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yield the files by which a key stands for a pack.

    Args:
        signer: The lake's key.
        sums: The file ``SHA256SUMS`` of the pack.
        predicate: What is said of it, as JSON values.
    """
    subject = {"name": "SHA256SUMS", "digest": {"sha256": hashlib.sha256(sums).hexdigest()}}
    payload = canonical({
        "_type": STATEMENT_TYPE, "subject": [subject], "predicateType": PREDICATE_TYPE, "predicate": predicate,
    })  # fmt: skip
    data = signed(payload)
    signature = signer.sign_bytes(data)
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": signer.verifier.key_id.hex(), "sig": base64.b64encode(signature).decode()}],
    }
    yield ENVELOPE, canonical(envelope)
    yield SIGNED, data
    yield SIGNATURE, signature


def check_statement(envelope: bytes, data: bytes, signature: bytes, key: Verifier, sums: bytes) -> Mapping[str, Any]:
    """Check the files by which a key stands for a pack, and return what it says of it.

    Raises:
        ValueError: They do not hold, or are about another pack.
    """
    said = evidence_json.known(evidence_json.parse(envelope), ("payload", "payloadType", "signatures"), "its envelope")
    payload = base64.b64decode(said["payload"], validate=True)
    if said["payloadType"] != PAYLOAD_TYPE or signed(payload) != data:
        raise ValueError(f"{SIGNED} is not what {ENVELOPE} says")
    if [base64.b64decode(each["sig"], validate=True) for each in said["signatures"]] != [signature]:
        raise ValueError(f"{SIGNATURE} is not the signature of {ENVELOPE}")
    if not key.verifies(data, signature):
        raise ValueError(f"{SIGNATURE} is no signature by the key in key.pub")
    digest = hashlib.sha256(sums).hexdigest()
    statement = evidence_json.known(evidence_json.parse(payload), _STATEMENT, "its statement")
    if (statement["_type"], statement["predicateType"]) != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise ValueError("its statement is of another type")
    if [each["digest"] for each in statement["subject"]] != [{"sha256": digest}]:
        raise ValueError("its statement is about other sums")
    predicate = statement["predicate"]
    if not isinstance(predicate, dict):
        raise ValueError("its statement says nothing")  # noqa: TRY004 - every mistake of a document is one of its value
    return predicate
