"""A client that costs little: one thread, non-blocking sockets, bodies read into one buffer and thrown away.

It reads what HTTP/1.1 servers send: bodies with Content-Length, chunked, and up to the end of the connection.
"""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

HEAD_LIMIT_BYTES = 64 << 10
BUFFER_BYTES = 1 << 20
IDLE_S = 60.0
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})")
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


@dataclass(slots=True)
class Load:
    """What a run gave: answers by status, bytes of bodies, the time that each request took."""

    elapsed_s: float = 0.0
    received_bytes: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    latencies_s: list[float] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return len(self.latencies_s)

    @property
    def failed(self) -> int:
        """Answers that are not a success; they make the run worthless."""
        return sum(count for status, count in self.statuses.items() if not 200 <= status < 300)


class _Connection:
    """One client: sends a request, reads the answer, sends the next."""

    def __init__(self, address: tuple[str, int], buffer: memoryview, load: Load, keep: bool) -> None:
        self._address, self._buffer, self._load = address, buffer, load
        self._kept: list[bytes] | None = [] if keep else None
        self.socket = socket.create_connection(address, IDLE_S)
        self._begin()

    def _begin(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self._head, self._left, self._chunks = b"", 0, b""
        self._mode, self._closing, self._status = "head", False, 0

    def send(self, request: bytes) -> None:
        """Send a whole request; blocks for it, as a body that is stored is read by the server while it comes."""
        self.socket.setblocking(True)
        self._started_s = time.perf_counter()
        self.socket.sendall(request)
        self.socket.setblocking(False)

    def receive(self) -> bool:
        """Read what is there; whether the answer is complete."""
        try:
            size = self.socket.recv_into(self._buffer)
        except BlockingIOError:
            return False
        data = self._buffer[:size]
        if size == 0:
            if self._mode != "to-end":
                raise ConnectionError("The server closed the connection in the middle of an answer.")
            return self._done()
        if self._mode == "head":
            self._head += bytes(data)
            head, mark, rest = self._head.partition(b"\r\n\r\n")
            if not mark:
                if len(self._head) > HEAD_LIMIT_BYTES:
                    raise ConnectionError("The head of an answer is too long.")
                return False
            self._read_head(head)
            data = memoryview(rest)
        return self._take(data)

    def _read_head(self, head: bytes) -> None:
        status = _STATUS.match(head)
        if status is None:
            raise ConnectionError("The answer is not HTTP/1.1.")
        self._status, self._closing = int(status[1]), _CLOSE.search(head) is not None
        length = _LENGTH.search(head)
        if _CHUNKED.search(head):
            self._mode = "chunked"
        elif length is not None or self._status in (204, 304):
            self._mode, self._left = "length", int(length[1]) if length else 0
        else:
            self._mode = "to-end"

    def _take(self, data: memoryview) -> bool:
        if self._mode == "chunked":
            return self._take_chunks(bytes(data))
        self._count(data)
        if self._mode == "to-end":
            return False
        self._left -= len(data)
        return self._done() if self._left <= 0 else False

    def _take_chunks(self, data: bytes) -> bool:
        """Follow the chunk sizes; the content itself is only counted."""
        position = 0
        while position < len(data):
            if self._left > 0:
                step = min(self._left, len(data) - position)
                self._left -= step
                content = memoryview(data)[position : position + step]
                self._count(content[: max(0, len(content) - max(0, 2 - self._left))])
                position += step
                continue
            end = data.find(b"\n", position)
            if end < 0:
                self._chunks += data[position:]
                return False
            line, self._chunks, position = self._chunks + data[position : end + 1], b"", end + 1
            if line.strip() == b"":
                return self._done()  # the blank line behind the last chunk
            size = int(line.split(b";")[0], 16)
            self._left = size + 2 if size else 0
        return False

    def _count(self, data: memoryview) -> None:
        self._load.received_bytes += len(data)
        if self._kept is not None:
            self._kept.append(bytes(data))

    @property
    def kept(self) -> bytes:
        return b"".join(self._kept or ())

    def _done(self) -> bool:
        self._load.latencies_s.append(time.perf_counter() - self._started_s)
        self._load.statuses[self._status] = self._load.statuses.get(self._status, 0) + 1
        if self._mode == "to-end" or self._closing:
            self.socket.close()
        else:
            self._head, self._mode, self._left, self._chunks = b"", "head", 0, b""
        return True

    def open_again(self) -> None:
        self.socket = socket.create_connection(self._address, IDLE_S)
        self._begin()

    @property
    def is_open(self) -> bool:
        return self.socket.fileno() >= 0


def run_load(address: tuple[str, int], requests: Iterator[bytes], clients: int, go_on: Callable[[float], bool]) -> Load:
    """Send requests by so many clients until they run out or `go_on`, told the seconds passed, says no."""
    load, buffer = Load(), memoryview(bytearray(BUFFER_BYTES))
    started_s = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        for _ in range(clients):
            request = next(requests, None)
            if request is None:
                break
            connection = _Connection(address, buffer, load, keep=False)
            connection.send(request)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        while selector.get_map():
            ready = selector.select(IDLE_S)
            if not ready:
                raise TimeoutError("The server has not answered for a minute.")
            for key, _ in ready:
                _serve(key.data, selector, requests, go_on(time.perf_counter() - started_s))
    load.elapsed_s = time.perf_counter() - started_s
    return load


def _serve(connection: _Connection, selector: selectors.BaseSelector, requests: Iterator[bytes], more: bool) -> None:
    before = connection.socket
    registered = selector.get_key(before)
    if not connection.receive():
        return
    request = next(requests, None) if more else None
    if not connection.is_open:
        selector.unregister(registered.fd)
        if request is not None:
            connection.open_again()
            selector.register(connection.socket, selectors.EVENT_READ, connection)
    elif request is None:
        selector.unregister(before)
        before.close()
    if request is not None:
        connection.send(request)


def fetch(address: tuple[str, int], request: bytes) -> tuple[int, bytes]:
    """One request: its status and its body."""
    load = Load()
    connection = _Connection(address, memoryview(bytearray(BUFFER_BYTES)), load, keep=True)
    connection.send(request)
    with selectors.DefaultSelector() as selector:
        selector.register(connection.socket, selectors.EVENT_READ)
        while selector.select(IDLE_S):
            if connection.receive():
                connection.socket.close()
                return next(iter(load.statuses)), connection.kept
    raise TimeoutError("The server has not answered for a minute.")
