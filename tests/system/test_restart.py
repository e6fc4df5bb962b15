"""A server that stops finishes what it has begun; one that restarts fails nobody."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import aiohttp
import pytest
from files import part10
from servers import ROOT, Server, free_port, run_lightbox, running_server

CLIENTS = 6


class Load:
    """Clients that read and store all the time, some on connections that they keep; what went wrong is kept."""

    def __init__(self, server: Server, token: str) -> None:
        self.server, self.token = server, token
        self.done, self.failed, self.slowest_s = 0, [], 0.0
        self.stop = asyncio.Event()

    async def run(self) -> None:
        await asyncio.gather(*(self._client(number) for number in range(CLIENTS)))

    async def _client(self, number: int) -> None:
        connector = aiohttp.TCPConnector(force_close=number % 2 == 1)
        headers = {"Authorization": f"Bearer {self.token}"}
        async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
            count = 0
            while not self.stop.is_set():
                count += 1
                started_s = time.monotonic()
                try:
                    if number == 0:
                        data = part10(SOPInstanceUID=f"1.2.3.9.{count}", StudyInstanceUID="1.2.3")
                        request = session.post(
                            f"{self.server.dicomweb}/studies", data=data, headers={"Content-Type": "application/dicom"}
                        )
                    else:
                        request = session.get(f"{self.server.dicomweb}/studies")
                    async with request as answer:
                        await answer.read()
                        if answer.status != 200:
                            self.failed.append(answer.status)
                except (aiohttp.ClientError, OSError) as error:
                    self.failed.append(repr(error))
                self.done += 1
                self.slowest_s = max(self.slowest_s, time.monotonic() - started_s)
                await asyncio.sleep(0.02)

    async def further(self, count: int) -> None:
        """Until so many more requests have ended."""
        wanted = self.done + count
        async with asyncio.timeout(60):
            while self.done < wanted:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_restart_by_sighup_fails_no_request(tmp_path, workers):
    with running_server(tmp_path / "data", "--workers", workers, is_program=True) as server:
        load = Load(server, server.token("admin"))
        running = asyncio.create_task(load.run())
        for _ in range(2):
            await load.further(60)
            server.process.send_signal(signal.SIGHUP)
        await load.further(100)
        load.stop.set()
        await running
        assert server.process.poll() is None
    assert load.failed == [], f"{len(load.failed)} of {load.done}"
    print(f"{workers} processes: {load.done} requests over two restarts, the slowest {load.slowest_s:.2f} s")


@contextmanager
def handed_socket_server(data, listener):
    """`lightbox serve` with a socket handed over as systemd does it."""
    handed = 'exec env LISTEN_PID=$$ LISTEN_FDS=1 "$@" 3<&"$SOCKET"'
    port = listener.getsockname()[1]
    command = [sys.executable, "-m", "archive.cli", "serve", "--data", str(data), "--port", str(port)]
    environment = os.environ | {"SOCKET": str(listener.fileno())}
    process = subprocess.Popen(
        ["bash", "-c", handed, "bash", *command], cwd=ROOT, env=environment, pass_fds=[listener.fileno()]
    )
    try:
        yield Server(data, port, process)
    finally:
        process.terminate()
        process.wait(60)


async def test_with_a_socket_from_systemd_a_stop_and_a_start_fail_no_request(tmp_path):
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        with handed_socket_server(tmp_path / "data", listener) as server:
            load = Load(server, await asyncio.to_thread(server.token, "admin"))
            running = asyncio.create_task(load.run())
            await load.further(60)
            server.process.terminate()
            assert await asyncio.to_thread(server.process.wait, 60) == 0
        with handed_socket_server(tmp_path / "data", listener):
            await load.further(100)
            load.stop.set()
            await running
    assert load.failed == []


def test_an_upload_under_way_when_the_server_is_told_to_stop_is_stored_and_answered(tmp_path):
    data = part10(SOPInstanceUID="1.2.3.77", StudyInstanceUID="1.2.3")
    with running_server(tmp_path / "data") as server:
        head = (
            f"POST /dicom-web/studies HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {server.token('admin')}\r\n"
            f"Content-Type: application/dicom\r\nContent-Length: {len(data)}\r\n\r\n"
        ).encode()
        with socket.create_connection(("127.0.0.1", server.port), 60) as upload:
            upload.sendall(head + data[:100])
            deadline = time.monotonic() + 30
            server.process.terminate()
            while True:  # until nothing new is taken
                try:
                    socket.create_connection(("127.0.0.1", server.port), 5).close()
                except ConnectionError:
                    break
                assert time.monotonic() < deadline
                time.sleep(0.02)
            upload.sendall(data[100:])
            answer = b""
            while chunk := upload.recv(65536):
                answer += chunk
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer.lower()
        assert server.process.wait(60) == 0


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        done = run_lightbox("serve", "--data", str(tmp_path / "d"), "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert done.stderr.startswith("lightbox: Cannot listen on 127.0.0.1 port")
