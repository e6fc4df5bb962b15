"""Clients that send or take slowly, or not at all, are ended, and what they held comes back."""

import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from files import part10, related
from servers import Server, running_server

WITHIN_S = 40.0
LARGE_BYTES = 48 << 20


def until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def sockets_of(server: Server) -> int:
    folder = Path(f"/proc/{server.process.pid}/fd")
    return sum(str(path.readlink()).startswith("socket:") for path in folder.iterdir() if path.is_symlink())


def stored(server: Server) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {server.token('admin')}"}
    file = part10(Rows=1024, Columns=LARGE_BYTES >> 10, PixelData=bytes(LARGE_BYTES))
    body, content_type = related([file])
    url = f"{server.dicomweb}/studies"
    assert (
        requests.post(url, data=body, headers=headers | {"Content-Type": content_type}, timeout=60).status_code == 200
    )
    return headers


def asked(server: Server, headers: dict[str, str]) -> socket.socket:
    """A connection that asks for much and has a small buffer for it."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", server.port))
    path = "/dicom-web/studies/1.2.3/series/1.2.3.4"
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {headers['Authorization']}\r\nConnection: close\r\n\r\n"
    client.sendall(head.encode())
    assert client.recv(12) == b"HTTP/1.1 200"
    return client


def test_who_takes_nothing_of_an_answer_is_cut_off_and_who_takes_it_slowly_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIGHTBOX_SEND_IDLE_S", "2")
    with running_server(tmp_path / "data") as server:
        headers = stored(server)
        before = sockets_of(server)
        idle, slow = [asked(server, headers) for _ in range(8)], asked(server, headers)
        until(lambda: sockets_of(server) >= before + 9)
        received = 0
        deadline_s = time.monotonic() + WITHIN_S
        while sockets_of(server) > before + 1:
            assert time.monotonic() < deadline_s
            received += len(slow.recv(4096))
            time.sleep(0.1)
        assert sockets_of(server) == before + 1, "the slow one is still served"
        while part := slow.recv(1 << 20):
            received += len(part)
        assert received > LARGE_BYTES
        for client in (*idle, slow):
            client.close()


def unfinished(server: Server, headers: dict[str, str], body: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", server.port), timeout=WITHIN_S)
    head = f"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nAuthorization: {headers['Authorization']}\r\n"
    client.sendall(f"{head}Content-Type: application/dicom\r\nContent-Length: 100000000\r\n\r\n".encode() + body)
    return client


def test_uploads_that_trickle_or_break_off_are_ended_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIGHTBOX_BODY_IDLE_S", "2")
    monkeypatch.setenv("LIGHTBOX_BODY_BYTES_PER_S", str(4 << 20))
    with running_server(tmp_path / "data") as server:
        headers = {"Authorization": f"Bearer {server.token('store')}"}
        drafts = server.data / "store" / "drafts"
        beginning = part10(Rows=1024, Columns=4096, PixelData=bytes(4 << 20))[: 3 << 20]
        gone = unfinished(server, headers, beginning)
        until(lambda: any(drafts.iterdir()))
        gone.close()
        until(lambda: not any(drafts.iterdir()))
        silent, trickling = unfinished(server, headers, beginning), unfinished(server, headers, beginning)
        trickling.settimeout(0.1)
        answer = b""
        deadline_s = time.monotonic() + WITHIN_S
        while not answer:
            assert time.monotonic() < deadline_s
            try:
                trickling.sendall(b"x")
                answer = trickling.recv(4096)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 400")
        assert silent.recv(4096).startswith(b"HTTP/1.1 400")
        until(lambda: not any(drafts.iterdir()))
        silent.close()
        trickling.close()
        assert not any((server.data / "store" / "blobs").glob("*/*"))
