"""A server of S3 that answers late and takes little processor time, so that a row measures those who ask it.

It has objects in memory, and of the protocol what the clients of the rows use: PUT on conditions, GET of ranges, HEAD,
lists by pages, and DELETE of one object or of many. The delay of a request comes before it is carried out.
"""

from __future__ import annotations

import base64
import re
import socketserver
import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from hashlib import sha256
from html import escape, unescape
from threading import Lock, Thread
from urllib.parse import parse_qsl, unquote

_KEY = re.compile(rb"<Key>(.*?)</Key>")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)\Z")
_PAGE = 1000
_REASONS = {404: "NoSuchKey", 412: "PreconditionFailed", 416: "InvalidRange", 501: "NotImplemented"}

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Bucket:
    """The objects, by name."""

    delay_seconds: float = 0.0
    objects: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    """The bytes of each, and when it was written."""
    lock: Lock = field(default_factory=Lock)

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Carry out a request, late."""
        time.sleep(self.delay_seconds)
        path, _, query = target.partition("?")
        name, asked = unquote(path).lstrip("/").partition("/")[2], dict(parse_qsl(query, keep_blank_values=True))
        with self.lock:
            if method == "PUT" and not asked:
                return self._put(name, headers, body)
            if method in {"GET", "HEAD"} and not asked:
                return self._get(name, headers)
            if method == "GET" and asked.get("list-type") == "2":
                return 200, {}, self._list(asked).encode()
            if method == "DELETE" and not asked:
                self.objects.pop(name, None)
                return 204, {}, b""
            if method == "POST" and [*asked] == ["delete"]:
                gone = [unescape(key.decode()) for key in _KEY.findall(body)]
                for each in gone:
                    self.objects.pop(each, None)
                return 200, {}, _result("Delete", "".join(f"<Deleted>{_key(each)}</Deleted>" for each in gone)).encode()
        return _refused(501)

    def _put(self, name: str, headers: Mapping[str, str], body: bytes) -> Answer:
        digest = base64.b64encode(sha256(body).digest()).decode()
        assert headers.get("x-amz-checksum-sha256", digest) == digest
        there = self.objects.get(name)
        if there and headers.get("if-none-match") == "*":
            return _refused(412)
        if (tag := headers.get("if-match")) and tag != (_tag(there[0]) if there else ""):
            return _refused(412)
        self.objects[name] = (body, formatdate(usegmt=True))
        return 200, {"ETag": _tag(body)}, b""

    def _get(self, name: str, headers: Mapping[str, str]) -> Answer:
        if (there := self.objects.get(name)) is None:
            return _refused(404)
        data, modified = there
        about = {"ETag": _tag(data), "Last-Modified": modified}
        if (part := _RANGE.match(headers.get("range", ""))) is None:
            return 200, about, data
        begin, end = int(part[1]), min(int(part[2] or len(data)) + 1, len(data))
        if begin >= end:
            return _refused(416)
        return 206, about | {"Content-Range": f"bytes {begin}-{end - 1}/{len(data)}"}, data[begin:end]

    def _list(self, asked: Mapping[str, str]) -> str:
        prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")
        after = asked.get("continuation-token") or asked.get("start-after", "")
        most, said, folders = int(asked.get("max-keys", _PAGE)), list[str](), dict[str, None]()
        names, last = sorted(name for name in self.objects if name.startswith(prefix)), ""
        is_whole = True
        for name in names[bisect_right(names, after) :]:
            if len(said) + len(folders) == most:
                is_whole = False
                break
            folder, is_below, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
            if is_below:
                folders[f"{prefix}{folder}{delimiter}"] = None
            else:
                data, modified = self.objects[name]
                when = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.strptime(modified, "%a, %d %b %Y %H:%M:%S GMT"))
                about = f"<LastModified>{when}</LastModified><ETag>{escape(_tag(data))}</ETag><Size>{len(data)}</Size>"
                said.append(f"<Contents>{_key(name)}{about}</Contents>")
            last = name
        more = "" if is_whole else f"<NextContinuationToken>{escape(last)}</NextContinuationToken>"
        said += [f"<CommonPrefixes><Prefix>{escape(each)}</Prefix></CommonPrefixes>" for each in folders]
        cut = f"<IsTruncated>{'false' if is_whole else 'true'}</IsTruncated>"
        return _result("ListBucket", f"{cut}{more}{''.join(said)}")


class _Connection(socketserver.StreamRequestHandler):
    """One client's connection, which stays open."""

    bucket: Bucket
    disable_nagle_algorithm = True

    def handle(self) -> None:
        while line := self.rfile.readline():
            method, target, _ = line.decode("latin-1").split(" ")
            headers = dict[str, str]()
            while (line := self.rfile.readline()) not in {b"\r\n", b""}:
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            body = self.rfile.read(int(headers.get("content-length", 0)))
            status, said, data = self.bucket.answer(method, target, headers, body)
            lines = [f"HTTP/1.1 {status} .", f"Content-Length: {len(data)}", *map(": ".join, said.items()), "", ""]
            self.wfile.write("\r\n".join(lines).encode() + (b"" if method == "HEAD" else data))


class _Server(socketserver.ThreadingTCPServer):
    request_queue_size = 256
    daemon_threads = True
    block_on_close = False


@contextmanager
def served(bucket: Bucket) -> Iterator[dict[str, str]]:
    """Serve a bucket on loopback within this, and give the environment that leads to it."""
    handler = type("Handler", (_Connection,), {"bucket": bucket})
    with _Server(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_address[1]}", "AWS_ACCESS_KEY_ID": "AKIATHEKEYID",
            "AWS_SECRET_ACCESS_KEY": "the-secret-key", "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true",
            "AWS_CHECKSUM_ALGORITHM": "SHA256",
        }  # fmt: skip
        server.shutdown()


def _tag(data: bytes) -> str:
    return f'"{sha256(data).hexdigest()[:32]}"'


def _key(name: str) -> str:
    return f"<Key>{escape(name)}</Key>"


def _result(what: str, inner: str) -> str:
    space = "http://s3.amazonaws.com/doc/2006-03-01/"
    return f'<?xml version="1.0" encoding="UTF-8"?><{what}Result xmlns="{space}">{inner}</{what}Result>'


def _refused(status: int) -> Answer:
    return status, {}, f"<Error><Code>{_REASONS[status]}</Code></Error>".encode()
