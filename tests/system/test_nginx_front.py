"""The README's nginx in front sends stored files itself, after Lightbox said who may have them, and logs no secret."""

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from databases import at
from files import part10, related
from servers import ROOT, Server, free_port, running_server

from archive.audit import page_after
from archive.database.engine import open_database
from archive.identifiers import StudyUID
from auth.factors import Passwords
from auth.shares import Link, NewShare, create_share

INSTANCE = "/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5"
AS_STORED = {"Accept": "application/dicom; transfer-syntax=*"}
FILE = part10(SOPInstanceUID="1.2.3.4.5", Rows=512, Columns=512, PixelData=bytes(range(256)) * 1024)
START_S = 20.0


@dataclass(slots=True)
class Front:
    """nginx before a server. `file` is what was stored; `bearer` may read it."""

    server: Server
    base: str
    folder: Path
    bearer: dict[str, str]

    @property
    def dicomweb(self) -> str:
        return f"{self.base}/dicom-web"

    def get(self, **headers: str) -> requests.Response:
        return requests.get(f"{self.dicomweb}{INSTANCE}", headers=self.bearer | AS_STORED | headers, timeout=60)

    def blob(self) -> Path:
        (path,) = (path for path in (self.server.data / "store" / "blobs").rglob("*") if path.is_file())
        return path

    def logs(self) -> str:
        return (self.folder / "lightbox.log").read_text() + (self.folder / "lightbox.error.log").read_text()


def configuration(folder: Path, port: int, server: Server) -> str:
    """The README's block, with this test's ports and folders, in a whole file."""
    block = (ROOT / "README.md").read_text().split("<!-- nginx -->\n```nginx\n")[1].split("```\n<!-- /nginx -->")[0]
    for named, here in (
        ("listen 80;", f"listen 127.0.0.1:{port};"),
        ("127.0.0.1:8042", f"127.0.0.1:{server.port}"),
        ("/var/log/nginx", str(folder)),
        ("/srv/lightbox/data", str(server.data)),
    ):
        assert named in block
        block = block.replace(named, here)
    temporary = " ".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"daemon off; user root root; pid {folder}/pid; events {{}} http {{ {temporary}\n{block} }}"


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    patch = pytest.MonkeyPatch()
    patch.setenv("LIGHTBOX_ACCEL_PREFIX", "/stored")
    patch.setenv("LIGHTBOX_TRUSTED_PROXIES", '["127.0.0.1"]')
    with running_server(folder / "data") as server:
        patch.undo()
        (folder / "nginx.conf").write_text(configuration(folder, port, server))
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        nginx = subprocess.Popen([program, "-c", f"{folder}/nginx.conf", "-e", f"{folder}/first.log"])
        front = Front(server, f"http://127.0.0.1:{port}", folder, {"Authorization": f"Bearer {server.token('admin')}"})
        try:
            wait_for(port)
            store(front, FILE)
            yield front
        finally:
            nginx.terminate()
            nginx.wait(START_S)


def wait_for(port: int) -> None:
    deadline = time.monotonic() + START_S
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline, "nginx did not start"
        time.sleep(0.05)


def store(front: Front, file: bytes) -> None:
    body, content_type = related([file])
    headers = front.bearer | {"Content-Type": content_type}
    assert requests.post(f"{front.dicomweb}/studies", data=body, headers=headers, timeout=60).status_code == 200


def test_nginx_sends_the_stored_bytes_with_the_headers_of_lightbox(front: Front) -> None:
    answer = front.get()
    assert (answer.status_code, answer.content) == (200, FILE)
    assert answer.headers["Content-Type"].startswith("application/dicom")
    assert answer.headers["Content-Location"].endswith(INSTANCE)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "X-Accel-Redirect" not in answer.headers
    direct = requests.get(f"{front.server.dicomweb}{INSTANCE}", headers=front.bearer | AS_STORED, timeout=60)
    assert (direct.content, direct.headers["ETag"]) == (b"", answer.headers["ETag"])


def test_ranges_and_conditions_hold(front: Front) -> None:
    tag = front.get().headers["ETag"]
    part = front.get(Range="bytes=1000-1999")
    assert (part.status_code, part.content) == (206, FILE[1000:2000])
    assert part.headers["Content-Range"] == f"bytes 1000-1999/{len(FILE)}"
    assert front.get(**{"Range": "bytes=0-9", "If-Range": tag}).content == FILE[:10]
    assert front.get(**{"Range": "bytes=0-9", "If-Range": '"another"'}).content == FILE
    assert front.get(Range=f"bytes={len(FILE)}-").status_code == 416
    assert front.get(**{"If-None-Match": tag}).status_code == 304
    head = requests.head(f"{front.dicomweb}{INSTANCE}", headers=front.bearer | AS_STORED, timeout=60)
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(FILE)))


def test_what_is_not_a_whole_file_passes_through(front: Front) -> None:
    frame = requests.get(
        f"{front.dicomweb}{INSTANCE}/frames/1",
        headers=front.bearer | {"Accept": "application/octet-stream"},
        timeout=60,
    )
    assert frame.content == bytes(range(256)) * 1024
    related_answer = requests.get(f"{front.dicomweb}{INSTANCE}", headers=front.bearer, timeout=60)
    assert FILE[-1000:] in related_answer.content
    assert requests.get(f"{front.dicomweb}/studies", headers=front.bearer, timeout=60).json()


def test_nobody_gets_a_file_without_lightbox(front: Front) -> None:
    digest = front.blob().name
    for path in (f"/stored/{digest[:2]}/{digest}", "/stored/", f"/stored/../stored/{digest[:2]}/{digest}"):
        assert requests.get(f"{front.base}{path}", headers=front.bearer, timeout=60).status_code == 404
    assert requests.get(f"{front.dicomweb}{INSTANCE}", headers=AS_STORED, timeout=60).status_code == 401
    foreign = {"X-Accel-Redirect": f"/stored/{digest[:2]}/{digest}"}
    assert requests.get(f"{front.dicomweb}/studies", headers=AS_STORED | foreign, timeout=60).status_code == 401


async def share_for_looking(server: Server) -> Link:
    database = open_database(at(server.data / "lightbox.sqlite"))
    new = NewShare((StudyUID("1.2.3"),), may_download=False)
    link = await create_share(database, Passwords(), new, time.time_ns() // 1_000_000)
    await database.close()
    return link


def test_a_share_for_looking_only_gives_no_file_away(front: Front) -> None:
    link = asyncio.run(share_for_looking(front.server))
    session = requests.Session()
    opened = session.post(f"{front.base}/api/s/{link.share_id}/open", json={"secret": link.secret}, timeout=60)
    assert opened.status_code == 200
    root = f"{front.base}/s/{link.share_id}/dicom-web"
    assert session.get(f"{root}/studies", timeout=60).status_code == 200
    assert session.get(f"{root}{INSTANCE}", headers=AS_STORED, timeout=60).status_code == 403


async def test_a_file_that_nginx_sends_is_in_the_audit_trail(front: Front) -> None:
    assert (await asyncio.to_thread(front.get)).status_code == 200
    database = open_database(at(front.server.data / "lightbox.sqlite"))
    events = await database.read(page_after, 0)
    await database.close()
    assert ("download", "1.2.3", "127.0.0.1") in {(row["action"], row["study_uid"], row["address"]) for row in events}


def test_damaged_bytes_are_not_handed_over_also_when_they_were_sound_before(front: Front) -> None:
    assert front.get().status_code == 200
    blob = front.blob()
    blob.chmod(0o644)
    blob.write_bytes(FILE[:-1] + b"\xee")
    refused = front.get()
    assert (refused.status_code, refused.json()["code"]) == (500, "store-error")
    blob.write_bytes(FILE)
    assert front.get().content == FILE


def test_no_secret_of_a_path_is_logged_also_when_lightbox_is_down(front: Front) -> None:
    ticket = "TICKETSECRET0123456789"
    paths = (f"/t/{ticket}/dicom-web/studies", f"/shl/{ticket}", f"/t/{ticket}/dicom-web/studies?x={ticket}")
    for path in paths:
        assert requests.get(f"{front.base}{path}", timeout=60).status_code in (401, 404, 405)
    front.server.stop()
    for path in paths:
        assert requests.get(f"{front.base}{path}", timeout=60).status_code == 502
    assert requests.get(f"{front.dicomweb}/studies", timeout=60).status_code == 502
    logs = front.logs()
    assert "/t/-/dicom-web/studies" in logs
    assert "Connection refused" in logs
    assert ticket not in logs
