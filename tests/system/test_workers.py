"""Several server processes on one port are one server: to those who ask, who guess, who switch off, and who stop it."""

import asyncio
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from databases import at
from files import part10, related
from servers import Server, lightbox, running_server

from archive.audit import count_events, find_break
from archive.database.engine import open_database
from archive.identifiers import StudyUID
from auth.factors import Passwords
from auth.limits import UNKNOWN_PER_MINUTE, WINDOW_FAILURES
from auth.shares import Link, Mode, NewShare, create_share

STUDIES = 12
LIMIT_S = 30.0
LARGE_BYTES = 24 << 20


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running_server(tmp_path / "data", "--workers", "2") as running:
        yield running


def children_of(pid: int) -> set[int]:
    """Children are told by the thread that started them."""
    told = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return {int(child) for text in told for child in text.split()}


def workers_of(server: Server) -> set[int]:
    """The processes that the supervisor started; what they started themselves are decoders."""
    return children_of(server.process.pid)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def store(server: Server, files: list[bytes]) -> dict[str, str]:
    """Store files; the headers of whoever may read them."""
    headers = {"Authorization": f"Bearer {server.token('admin')}"}
    body, content_type = related(files)
    answer = requests.post(
        f"{server.dicomweb}/studies", data=body, headers=headers | {"Content-Type": content_type}, timeout=60
    )
    assert answer.status_code == 200
    return headers


def test_a_process_that_is_killed_is_replaced_and_requests_go_on(server: Server) -> None:
    headers = store(server, [part10()])
    before = workers_of(server)
    assert len(before) == 2
    os.kill(min(before), signal.SIGKILL)
    for _ in range(20):
        assert requests.get(f"{server.dicomweb}/studies", headers=headers, timeout=30).status_code == 200
    until(lambda: len(workers_of(server)) == 2 and not Path(f"/proc/{min(before)}").exists())
    assert len(workers_of(server) - before) == 1
    for _ in range(20):
        assert requests.get(f"{server.dicomweb}/studies", headers=headers, timeout=30).status_code == 200


def test_the_processes_share_the_decoders_that_the_machine_has_room_for(server: Server) -> None:
    headers = store(server, [part10(SOPInstanceUID="1.2.3.4.5")])
    address = f"{server.dicomweb}/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/rendered"

    def draw(side: int) -> int:
        return requests.get(f"{address}?viewport={side},{side}", headers=headers, timeout=60).status_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(draw, range(10, 50))) == {200}
    decoders = [decoder for worker in workers_of(server) for decoder in children_of(worker)]
    assert 0 < len(decoders) <= max(2, os.cpu_count() or 1)


def opened(server: Server, link: str) -> tuple[str, requests.Session]:
    match = re.fullmatch(r".*/s/([0-9A-Z]+)#([0-9A-Z]+)", link)
    assert match is not None
    session = requests.Session()
    answer = session.post(f"{server.base}/api/s/{match[1]}/open", json={"secret": match[2]}, timeout=30)
    assert answer.status_code == 200
    return match[1], session


def test_a_share_that_is_switched_off_is_dead_in_every_process_within_two_seconds(server: Server) -> None:
    store(server, [part10()])
    share_id, session = opened(server, server.share("1.2.3"))
    cookies = session.cookies.get_dict()

    def asked() -> int:  # a new connection, so that any of the processes may answer
        return requests.get(f"{server.base}/s/{share_id}/dicom-web/studies", cookies=cookies, timeout=30).status_code

    assert {asked() for _ in range(30)} == {200}
    lightbox("share", "revoke", "--data", str(server.data), share_id)
    deadline = time.monotonic() + 2.0
    while time.monotonic() < deadline:
        asked()
    assert {asked() for _ in range(30)} == {401}


async def share_with_password(server: Server) -> Link:
    database = open_database(at(server.data / "lightbox.sqlite"))
    new = NewShare((StudyUID("1.2.3"),), mode=Mode.PASSWORD, password="correct horse battery")
    link = await create_share(database, Passwords(), new, time.time_ns() // 1_000_000)
    await database.close()
    return link


def test_guesses_are_counted_by_all_processes_together(server: Server) -> None:
    store(server, [part10()])
    link = asyncio.run(share_with_password(server))
    share_id, secret = link.share_id, link.secret

    def guess(_: int) -> int:
        session = requests.Session()
        answer = session.post(f"{server.base}/api/s/{share_id}/open", json={"secret": secret}, timeout=60)
        assert answer.json()["next"] == "password"
        form = {"password": "wrong horse battery"}
        return session.post(f"{server.base}/api/s/{share_id}/password", json=form, timeout=60).status_code

    def unknown(_: int) -> int:
        form = {"secret": "0" * len(secret)}
        return requests.post(f"{server.base}/api/s/{share_id}/open", json=form, timeout=60).status_code

    with ThreadPoolExecutor(6) as threads:
        guessed = sorted(threads.map(guess, range(WINDOW_FAILURES + 6)))
        unknowns = sorted(threads.map(unknown, range(UNKNOWN_PER_MINUTE + 6)))
    assert guessed == [403] * WINDOW_FAILURES + [429] * 6
    assert unknowns == [404] * UNKNOWN_PER_MINUTE + [429] * 6


def is_listened_on(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_server_that_is_stopped_finishes_what_it_has_begun(server: Server) -> None:
    headers = store(server, [part10(Rows=1024, Columns=LARGE_BYTES >> 10, PixelData=bytes(LARGE_BYTES))])
    path = "/dicom-web/studies/1.2.3/series/1.2.3.4"
    asked = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {headers['Authorization']}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.settimeout(LIMIT_S)
        connection.sendall(asked.encode())
        received = len(connection.recv(1 << 16))
        server.process.terminate()
        until(lambda: not is_listened_on(server.port))
        tail = b""
        while part := connection.recv(1 << 20):
            received, tail = received + len(part), part
    assert received > LARGE_BYTES
    assert tail.endswith(b"--\r\n")
    assert server.process.wait(LIMIT_S) == 0


async def test_the_audit_trail_of_processes_that_write_at_once_is_one_chain(server: Server) -> None:
    files = [part10(StudyInstanceUID=f"1.2.3.{n}", SeriesInstanceUID=f"1.2.3.{n}.1") for n in range(STUDIES)]
    tokens = [await asyncio.to_thread(store, server, files)] * 2
    database = open_database(at(server.data / "lightbox.sqlite"))
    before = await database.read(count_events)

    def read(number: int) -> int:
        address = f"{server.dicomweb}/studies/1.2.3.{number % STUDIES}/metadata"
        return requests.get(address, headers=tokens[number % 2], timeout=60).status_code

    with ThreadPoolExecutor(6) as threads:
        statuses = await asyncio.to_thread(lambda: set(threads.map(read, range(10 * STUDIES))))
    assert statuses == {200}
    assert await database.read(count_events) >= before + STUDIES
    assert await database.read(find_break) is None
    assert await asyncio.to_thread(server.stop) == 0
    assert await database.read(find_break) is None
    await database.close()
