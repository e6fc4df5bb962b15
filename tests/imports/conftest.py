"""A whole server in this process, people who are signed in, and what a browser does to import a folder."""

import base64
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from aiohttp.test_utils import TestClient, TestServer
from databases import at

from archive.app import build_app
from archive.audit import page_after
from archive.config import Settings
from archive.database.engine import migrate
from archive.imports.routes import IMPORTS
from archive.resources import DATABASE
from auth.access import ACCESS
from auth.desk import Sending, take_request
from auth.permits import permit_import
from auth.requests import NewRequest
from auth.sessions import NewSession, SessionKind, Visitor, start_session
from auth.staff import StaffRole, create_staff

HEAD_BYTES = 8192


@dataclass
class Person:
    """Whoever imports: a client whose cookie is that person's, and the root of their API."""

    client: TestClient  # type: ignore[type-arg]  # any app
    root: str
    cookies: dict[str, str]
    subject: str = ""
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    import_id: str = ""

    @property
    def api(self) -> str:
        return f"{self.root}/{self.import_id}"

    async def ask(self, method: str, url: str, **more: Any) -> tuple[int, Any]:
        answer = await self.client.request(method, url, cookies=self.cookies, **more)
        return answer.status, (await answer.json() if answer.status != 204 else None)

    async def begin(self, disc: dict[str, bytes]) -> dict[str, Any]:
        """Begin, list every file, send the DICOMDIRs; the preview."""
        status, told = await self.ask("POST", self.root, json={})
        assert status == 201, told
        self.import_id, self.files = told["id"], {}
        return await self.list_files(disc)

    async def list_files(self, disc: dict[str, bytes]) -> dict[str, Any]:
        for length in (HEAD_BYTES, 1 << 20):
            wanted = [path for path in disc if path not in self.files]
            for start in range(0, len(wanted), 200):
                listed = [
                    {"path": path, "size": len(disc[path]), "head": base64.b64encode(disc[path][:length]).decode()}
                    for path in wanted[start : start + 200]
                ]
                status, told = await self.ask("POST", f"{self.api}/files", json={"files": listed})
                assert status == 200, told
                self.files |= {one["path"]: one for one in told["files"] if "more" not in one}
        for path, file in self.files.items():
            if file["kind"] == "directory" and file["state"] == "waiting":
                await self.send(path, disc[path])
        return await self.overview()

    async def overview(self) -> dict[str, Any]:
        status, told = await self.ask("GET", self.api)
        assert status == 200, told
        return dict(told)

    async def choose(self, patients: list[dict[str, Any]], **more: Any) -> tuple[int, Any]:
        studies = [{"patient": one["key"], "study_uid": s["study_uid"]} for one in patients for s in one["studies"]]
        return await self.ask("POST", f"{self.api}/choice", json={"studies": studies, **more})

    async def piece(self, path: str, data: bytes, offset: int, whole: bytes) -> tuple[int, Any]:
        digest = base64.b64encode(hashlib.sha256(whole).digest()).decode()
        url = f"{self.api}/files/{self.files[path]['number']}?offset={offset}"
        return await self.ask("PUT", url, data=data, headers={"Repr-Digest": f"sha-256=:{digest}:"})

    async def send(self, path: str, data: bytes) -> dict[str, Any]:
        status, told = await self.piece(path, data, 0, data)
        assert status == 200, told
        return dict(told)

    async def finish(self) -> dict[str, Any]:
        status, told = await self.ask("POST", f"{self.api}/finish", json={})
        assert status == 200, told
        return dict(told)

    async def import_all(self, disc: dict[str, bytes], **more: Any) -> dict[str, Any]:
        """All of it: the summary."""
        preview = await self.begin(disc)
        status, told = await self.choose(preview["patients"], **more)
        assert status == 200, told
        for path, file in self.files.items():
            if file["state"] == "waiting" and file["kind"] != "directory":
                await self.send(path, disc[path])
        return await self.finish()


@dataclass
class House:
    """The server and who can be at it."""

    client: TestClient  # type: ignore[type-arg]  # any app
    data: Path

    async def staff(self, name: str = "m.curie") -> Person:
        access = self.client.app[ACCESS]
        await create_staff(
            access.database, access.passwords, (name, "Marie", frozenset({StaffRole.DESK})), access.clock()
        )
        return Person(self.client, "/api/desk/imports", await self._session(SessionKind.STAFF, name, ""), name)

    async def owner(self, *, allowed: bool = True) -> Person:
        access = self.client.app[ACCESS]
        form = NewRequest(True, name="Zoë", patient_id="P", accession_number="A", consented=True, by="staff m.curie")
        request_id = (await take_request(access, form, Sending(frozenset(), on_paper=True))).request_id
        await access.database.write(permit_import, request_id, "staff m.curie", access.clock(), allowed=allowed)
        cookies = await self._session(SessionKind.OWNER, request_id, request_id)
        return Person(self.client, f"/api/o/{request_id}/imports", cookies, request_id)

    async def _session(self, kind: SessionKind, subject: str, named: str) -> dict[str, str]:
        access = self.client.app[ACCESS]
        new = NewSession(kind, subject, Visitor("127.0.0.1", "127.0.0.1", "test"), open=True)
        token = await access.database.write(start_session, new, access.clock())
        return {access.cookies.name(kind, named): token}

    @property
    def imports(self):
        return self.client.app[IMPORTS]

    async def rows(self, query: sa.Select[Any]) -> list[sa.RowMapping]:
        return await self.client.app[DATABASE].read(lambda connection: list(connection.execute(query).mappings()))

    async def trail(self, action: str) -> list[sa.RowMapping]:
        await self.client.app[ACCESS].audit.flush()
        rows = await self.client.app[DATABASE].read(page_after, 0)
        return [row for row in rows if row["action"] == action]


@pytest.fixture
async def open_house(tmp_path: Path) -> AsyncIterator[Callable]:  # type: ignore[type-arg]  # opens one with settings
    clients = []

    async def opened(**settings: Any) -> House:
        data = tmp_path / "data"
        place = at(data / "lightbox.sqlite")
        url = {"database_url": place} if isinstance(place, str) else {}
        told = Settings(data=data, codec_workers=1, **url, **settings)
        migrate(told.database_place)
        client = TestClient(TestServer(build_app(told)))
        await client.start_server()
        clients.append(client)
        return House(client, data)

    yield opened
    for client in clients:
        await client.close()


@pytest.fixture
async def house(open_house) -> House:
    return await open_house()
