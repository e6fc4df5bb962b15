"""A request head that never ends costs its client the connection, and nobody else anything."""

import contextlib
import socket
import time
from pathlib import Path

import pytest
import requests
from servers import Server, running_server

IDLE_TIMEOUT_S = 2
WITHIN_S = 20
SLOW_CLIENTS = 200
BEGINNING = b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Slow: "


def is_closed(client: socket.socket) -> bool:
    """Send one more byte of the head; whether the server has closed."""
    try:
        client.sendall(b"a")
        client.settimeout(0.2)
        return client.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def connected(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=WITHIN_S)


def closes_while_it_trickles(client: socket.socket) -> bool:
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        if is_closed(client):
            return True
    return False


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_head_that_trickles_in_for_ever_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    monkeypatch.setenv("LIGHTBOX_IDLE_TIMEOUT_S", str(IDLE_TIMEOUT_S))
    with running_server(tmp_path / "data", "--workers", workers) as server:
        with connected(server) as client:
            client.sendall(BEGINNING)
            assert closes_while_it_trickles(client)
        with connected(server) as client:  # the second request of a connection is no way around it
            client.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
            client.sendall(BEGINNING)
            assert closes_while_it_trickles(client)


def test_two_hundred_unfinished_heads_keep_nobody_from_an_answer(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server, contextlib.ExitStack() as slow:
        for _ in range(SLOW_CLIENTS):
            slow.enter_context(connected(server)).sendall(BEGINNING)
        for _ in range(20):
            assert requests.get(f"{server.base}/health/ready", timeout=IDLE_TIMEOUT_S).status_code == 200
