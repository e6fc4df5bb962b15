"""The bench's client reads whole answers, however a server frames them, and counts what failed."""

import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from conformance.bench.client import fetch, run_load

BODY = bytes(range(256)) * 2000
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 512000\r\n\r\n" + BODY
CHUNKS = [BODY[at : at + 70_001] for at in range(0, len(BODY), 70_001)]
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in CHUNKS)
    + b"0\r\n\r\n"
)
TO_END = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY
REFUSED = b"HTTP/1.1 406 No\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def answering(answer: bytes, *, keep_open: bool) -> Iterator[tuple[str, int]]:
    """A server that gives every request the same answer."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve(connection: socket.socket) -> None:
            with connection:
                while b"\r\n\r\n" in connection.recv(65536):
                    connection.sendall(answer)
                    if not keep_open:
                        return

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[:2]
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("answer", "keep_open"), [(LENGTH, True), (CHUNKED, True), (TO_END, False)], ids=["length", "chunked", "to-end"]
)
def test_a_body_is_read_whole_however_it_is_framed(answer: bytes, keep_open: bool) -> None:
    with answering(answer, keep_open=keep_open) as address:
        assert fetch(address, b"GET / HTTP/1.1\r\n\r\n") == (200, BODY)


@pytest.mark.parametrize(("answer", "keep_open"), [(LENGTH, True), (CHUNKED, True), (TO_END, False)])
def test_several_clients_send_every_request_once(answer: bytes, keep_open: bool) -> None:
    with answering(answer, keep_open=keep_open) as address:
        load = run_load(address, itertools.repeat(b"GET / HTTP/1.1\r\n\r\n", 20), 4, lambda _: True)
    assert (load.requests, load.failed, load.statuses) == (20, 0, {200: 20})
    assert abs(load.received_bytes - 20 * len(BODY)) < 100


def test_answers_that_are_no_success_are_counted_as_failed() -> None:
    with answering(REFUSED, keep_open=True) as address:
        assert run_load(address, itertools.repeat(b"GET / HTTP/1.1\r\n\r\n", 3), 1, lambda _: True).failed == 3
