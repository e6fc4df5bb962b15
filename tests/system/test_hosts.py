"""Three hosts behind nginx on one PostgreSQL and one bucket: what one of them is told holds on all of them."""

import asyncio
import json
import threading
import time

import pytest
import requests
from databases import postgresql
from files import part10, related
from hosts import Hosts, hosts
from object_server import object_server

from archive.database.engine import open_database
from archive.database.postgresql import PostgreSQLDatabase
from archive.errors import StoreUnreachableError
from archive.identifiers import StudyUID
from auth.factors import Passwords
from auth.shares import Mode, NewShare, create_share
from conformance.cli import main

pytestmark = pytest.mark.sqlite  # they have a database of their own, whatever the other tests run on
AT_ONCE_S = 2.0


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    server = object_server(tmp_path_factory.mktemp("objects") / "weed")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def three(tmp_path_factory, objects):
    with hosts(tmp_path_factory.mktemp("hosts"), postgresql(), objects) as found:
        yield found


def token_of(three: Hosts) -> dict[str, str]:
    return {"Authorization": f"Bearer {three.lightbox('token', 'create', '--role', 'admin', 'test').strip()}"}


async def with_password(three, password):
    """What the command asks for on a terminal."""
    database = open_database(three.environment["LIGHTBOX_DATABASE_URL"])
    try:
        new = NewShare((StudyUID("1.2.3"),), mode=Mode.PASSWORD, password=password)
        return await create_share(database, Passwords(), new, time.time_ns() // 1_000_000)
    finally:
        await database.close()


def store(base, bearer, *files):
    body, content_type = related(list(files))
    return requests.post(f"{base}/studies", data=body, headers=bearer | {"Content-Type": content_type}, timeout=60)


def test_what_one_host_is_told_holds_on_the_others_within_two_seconds(three):
    bearer = token_of(three)
    first, *others = three.servers
    assert store(first.dicomweb, bearer, part10(SOPInstanceUID="1.2.3.9")).status_code == 200
    for host in three.servers:
        found = requests.get(f"{host.dicomweb}/studies", headers=bearer, timeout=30).json()
        assert [study["0020000D"]["Value"] for study in found] == [["1.2.3"]]
        file = requests.get(
            f"{host.dicomweb}/studies/1.2.3/series/1.2.3.4/instances/1.2.3.9",
            headers=bearer | {"Accept": "application/dicom"},
            timeout=30,
        )
        assert file.status_code == 200

    link = three.lightbox("share", "create", "1.2.3").strip()
    share_id, secret = link.rpartition("/")[2].split("#")
    visitor = requests.Session()
    assert visitor.post(f"{first.base}/api/s/{share_id}/open", json={"secret": secret}, timeout=30).status_code == 200
    cookie = {"Cookie": "; ".join(f"{one.name}={one.value}" for one in visitor.cookies)}

    def status(host):
        return requests.get(f"{host.base}/s/{share_id}/dicom-web/studies", headers=cookie, timeout=30).status_code

    assert [status(host) for host in three.servers] == [200] * 3, "a session holds wherever it is shown"
    three.lightbox("share", "revoke", share_id)
    deadline_s = time.monotonic() + AT_ONCE_S
    while any(status(host) == 200 for host in three.servers):
        assert time.monotonic() < deadline_s
    assert all(status(host) in (401, 403, 410) for host in three.servers)
    assert requests.delete(f"{others[0].dicomweb}/studies/1.2.3", headers=bearer, timeout=30).status_code < 300
    deadline_s = time.monotonic() + AT_ONCE_S
    while any(requests.get(f"{h.dicomweb}/studies", headers=bearer, timeout=30).json() for h in three.servers):
        assert time.monotonic() < deadline_s


def test_guesses_are_counted_together_whichever_host_they_go_to(three):
    bearer = token_of(three)
    assert store(three.dicomweb, bearer, part10()).status_code == 200
    link = asyncio.run(with_password(three, "right horse battery"))
    share_id, secret = link.share_id, link.secret
    answers = []
    for number in range(30):
        host = three.servers[number % 3]
        visitor = requests.Session()
        visitor.post(f"{host.base}/api/s/{share_id}/open", json={"secret": secret}, timeout=30)
        answer = visitor.post(f"{host.base}/api/s/{share_id}/password", json={"password": "wrong"}, timeout=30)
        answers.append(answer.status_code)
        if answer.status_code == 429:
            break
    assert answers[-1] == 429
    refused = []
    for host in three.servers:
        visitor = requests.Session()
        visitor.post(f"{host.base}/api/s/{share_id}/open", json={"secret": secret}, timeout=30)
        right = {"password": "right horse battery"}
        refused.append(visitor.post(f"{host.base}/api/s/{share_id}/password", json=right, timeout=30).status_code)
    assert refused == [429] * 3, "the pause holds on every host, also for who is right"


def test_nothing_acknowledged_is_lost_when_a_host_is_killed_while_four_clients_store(three):
    bearer = token_of(three)
    acknowledged: dict[str, bytes] = {}
    enough, stop = threading.Event(), threading.Event()

    def push(client: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            uid = f"1.2.{client}.{number}"
            file = part10(SOPInstanceUID=uid, StudyInstanceUID=f"1.2.{client}", SeriesInstanceUID=f"1.2.{client}.0")
            try:
                answer = store(three.dicomweb, bearer, file)
            except requests.ConnectionError:
                continue
            if answer.status_code == 200:
                acknowledged[uid] = file
            if len(acknowledged) >= 60:
                enough.set()

    clients = [threading.Thread(target=push, args=(client,)) for client in range(4)]
    for client in clients:
        client.start()
    assert enough.wait(120)
    three.servers[1].kill()
    killed_at = len(acknowledged)
    deadline_s = time.monotonic() + 120
    while len(acknowledged) < killed_at + 60:
        assert time.monotonic() < deadline_s, "the others go on"
        time.sleep(0.05)
    stop.set()
    for client in clients:
        client.join()
    for host in (three.servers[0], three.servers[2]):
        for uid, file in acknowledged.items():
            study = uid.rpartition(".")[0]
            answer = requests.get(
                f"{host.dicomweb}/studies/{study}/series/{study}.0/instances/{uid}",
                headers=bearer | {"Accept": "application/dicom"},
                timeout=30,
            )
            assert (answer.status_code, answer.content) == (200, file)
    assert "whole" in three.lightbox("audit", "verify")
    assert "0 damaged" in three.lightbox("verify")


def test_the_conformance_suite_holds_on_all_hosts_together(three, tmp_path):
    bearer = token_of(three)
    results = tmp_path / "results.json"
    token = bearer["Authorization"].removeprefix("Bearer ")
    status = main(["--base", three.dicomweb, "--token", token, "--json", str(results)])
    run = json.loads(results.read_text(encoding="utf-8"))
    wrong = [f"{each['id']}: {each['detail']}" for each in run["results"] if each["verdict"] in ("fail", "skip")]
    assert status == 0, wrong
    assert run["not_stored"] == {}


async def test_work_is_done_by_one_host_and_taken_over_when_its_connection_is_lost():
    server = postgresql()
    url = server.empty("turns")
    one, other = PostgreSQLDatabase(url), PostgreSQLDatabase(url)
    began, broken = asyncio.Event(), []

    async def hold() -> None:
        try:
            async with one.turn("purging") as is_ours:
                assert is_ours
                began.set()
                await asyncio.sleep(600)
        except StoreUnreachableError as error:
            broken.append(error)

    holding = asyncio.create_task(hold())
    await began.wait()
    async with other.turn("purging") as is_ours:
        assert not is_ours
    async with other.turn("imports") as is_ours:
        assert is_ours
    lost = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
    await asyncio.to_thread(server.execute, lost, "turns")
    async with asyncio.timeout(30):
        await holding
    assert broken, "who lost the turn stops"
    async with other.turn("purging") as is_ours:
        assert is_ours
    await one.close()
    await other.close()
