"""One HTTP exchange with every header under our control: nothing is added that the caller did not ask for."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from conformance.media_types import MediaType, parse_media_type
from conformance.model import Exchange
from conformance.multipart import Part, parse

MAX_BODY_BYTES = 256 * 1024 * 1024
SHOWN_BYTES = 600


@dataclass(frozen=True, slots=True)
class Request:
    """`target` is the request target as it goes on the wire: an encoded path and query."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    is_chunked: bool = False
    waits_for_continue: bool = False


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    saw_continue: bool = False

    def header(self, name: str) -> str | None:
        """Give the first header of that name, whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def all_headers(self, name: str) -> tuple[str, ...]:
        return tuple(value for key, value in self.headers if key.lower() == name.lower())

    @property
    def media_type(self) -> MediaType:
        return parse_media_type(self.header("Content-Type") or "")

    def parts(self) -> tuple[Part, ...]:
        """Split a multipart/related answer; ValueError where it is none."""
        return parse(self.media_type, self.body)

    def json(self) -> object:
        return json.loads(self.body.decode("utf-8"), parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON (RFC 8259 §6)")


@dataclass(frozen=True, slots=True)
class Wire:
    """Where the server is and what every request carries (a token, headers of the user)."""

    base_url: str
    headers: tuple[tuple[str, str], ...] = ()
    timeout_s: float = 60.0
    is_certificate_checked: bool = True
    _no_body: frozenset[int] = field(default=frozenset({204, 304}))

    def send(self, request: Request) -> Response:
        """Send one request on a connection of its own and read the whole answer."""
        connection = self._connect()
        try:
            connection.connect()
            self._send_head(connection, request)
            saw_continue = False
            if request.waits_for_continue:
                saw_continue, early = _await_continue(connection, request.method)
                if early is not None:
                    return _read(early, saw_continue)
            self._send_body(connection, request)
            return _read(connection.getresponse(), saw_continue)
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        url = urlsplit(self.base_url)
        host = url.hostname or "localhost"
        if url.scheme == "https":
            context = ssl.create_default_context()
            if not self.is_certificate_checked:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            return http.client.HTTPSConnection(host, url.port, timeout=self.timeout_s, context=context)
        return http.client.HTTPConnection(host, url.port, timeout=self.timeout_s)

    def _send_head(self, connection: http.client.HTTPConnection, request: Request) -> None:
        own = {key.lower() for key, _ in request.headers}
        connection.putrequest(request.method, request.target, skip_host="host" in own, skip_accept_encoding=True)
        for key, value in (*request.headers, *((k, v) for k, v in self.headers if k.lower() not in own)):
            connection.putheader(key, value.encode("utf-8"))
        if request.waits_for_continue:
            connection.putheader("Expect", "100-continue")
        if request.is_chunked:
            connection.putheader("Transfer-Encoding", "chunked")
        elif request.body is not None:
            connection.putheader("Content-Length", str(len(request.body)))
        connection.endheaders()

    def _send_body(self, connection: http.client.HTTPConnection, request: Request) -> None:
        if request.body is None:
            return
        try:
            if not request.is_chunked:
                connection.send(request.body)
                return
            for chunk in _chunks(request.body, 1000):
                connection.send(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            connection.send(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            return  # a server may refuse before it has read the body; its answer is still to be read


def _chunks(body: bytes, length_bytes: int) -> Iterable[bytes]:
    return (body[at : at + length_bytes] for at in range(0, len(body), length_bytes))


def _await_continue(
    connection: http.client.HTTPConnection, method: str
) -> tuple[bool, http.client.HTTPResponse | None]:
    """Wait up to three seconds for `100 Continue`; a final answer instead of it is given back."""
    sock: socket.socket = connection.sock
    before = sock.gettimeout()
    sock.settimeout(3.0)
    try:
        head = sock.recv(4096, socket.MSG_PEEK)
    except TimeoutError:
        return False, None
    finally:
        sock.settimeout(before)
    if not head.startswith((b"HTTP/1.1 100", b"HTTP/1.0 100")):
        return False, connection.getresponse()
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        received += sock.recv(1)
        if len(received) > 4096:
            raise ValueError("the interim answer 100 has no end")
    return True, None


def _read(answer: http.client.HTTPResponse, saw_continue: bool) -> Response:
    body = answer.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        raise ValueError(f"the answer is larger than {MAX_BODY_BYTES} bytes")
    return Response(answer.status, answer.reason, tuple(answer.getheaders()), body, saw_continue)


def show_request(request: Request) -> str:
    """Write a request for the report; a credential is never shown."""
    lines = [f"{request.method} {request.target}"]
    lines += [
        f"{key}: {'…' if key.lower() in ('authorization', 'cookie') else value}" for key, value in request.headers
    ]
    if request.is_chunked:
        lines.append("Transfer-Encoding: chunked")
    if request.body is not None:
        lines += ["", _show_body(request.body, "")]
    return "\n".join(lines)


def show_response(response: Response) -> str:
    lines = [f"{response.status} {response.reason}"]
    lines += [f"{key}: {value}" for key, value in response.headers if key.lower() != "set-cookie"]
    if response.body:
        lines += ["", _show_body(response.body, response.media_type.essence)]
    return "\n".join(lines)


def exchange_of(request: Request, response: Response) -> Exchange:
    return Exchange(show_request(request), show_response(response))


def _show_body(body: bytes, essence: str) -> str:
    head = body[:SHOWN_BYTES]
    text = head.decode("utf-8", "replace")
    is_text = essence.endswith(("json", "xml")) or essence.startswith("text/")
    printable = sum(ch.isprintable() or ch in "\r\n\t" for ch in text)
    if is_text or printable > 0.95 * max(len(text), 1):
        shown = text
    else:
        shown = "".join(ch if (ch.isprintable() and ch != "\ufffd") or ch == "\n" else "·" for ch in text[:200])
    return shown + (f"\n… ({len(body)} bytes)" if len(body) > len(head) or not is_text else "")
