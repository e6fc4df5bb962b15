"""An archive with four studies of two patients, and a small app with the access control in front of stand-in routes."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from databases import at, copy_at, engine_at

from archive.database import index_tables
from archive.database.access_tables import audit_events
from archive.database.engine import Database, migrate, open_database
from archive.database.journey_tables import messages
from archive.delivery.mail import MailSettings
from archive.delivery.outbox import Channel, Channels
from archive.delivery.sms import SmsSettings
from archive.dicomweb.problems import setup_problems
from archive.errors import NotFoundError
from archive.identifiers import StudyUID
from auth.access import Access, AccessSettings, open_access, require_admin, require_store, root_of, scope_of
from auth.desk import Sending, take_request
from auth.factors import Passwords
from auth.gate import install
from auth.requests import NewRequest, mark
from auth.routes import routes
from auth.shares import Link, NewShare, create_share

STUDIES = tuple(StudyUID(f"1.2.826.0.1.{number}") for number in range(1, 5))
BASE = "http://127.0.0.1:8042"
CHANNELS = Channels(MailSettings("127.0.0.1", 9), SmsSettings("http://127.0.0.1:9"))
"""Port 9 answers nobody: what is queued stays queued."""


@dataclass
class FakeWall:
    """A wall clock that a test sets."""

    now_ms: int = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, *, s: float) -> None:
        self.now_ms += int(s * 1000)


@dataclass
class Archive:
    """What a test works with."""

    database: Database
    access: Access
    wall: FakeWall
    passwords: Passwords = field(default_factory=Passwords)
    studies: tuple[StudyUID, ...] = STUDIES

    async def share(self, *study_uids: str, **values: object) -> Link:
        chosen = tuple(StudyUID(uid) for uid in study_uids) or STUDIES[:1]
        new = NewShare(chosen, **values)  # type: ignore[arg-type]  # any field
        return await create_share(self.database, self.passwords, new, self.access.clock())

    async def trail(self, *actions: str) -> list[sa.RowMapping]:
        await self.access.audit.flush()

        def rows(connection: sa.Connection) -> list[sa.RowMapping]:
            return list(connection.execute(sa.select(audit_events).order_by(audit_events.c.id)).mappings())

        return [row for row in await self.database.read(rows) if not actions or row["action"] in actions]


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "archive.sqlite"
    migrate(at(path))
    engine = engine_at(path)
    with engine.begin() as connection:
        connection.execute(
            sa.insert(index_tables.studies),
            [
                {
                    "study_uid": uid,
                    "PatientID": f"P{number // 2}",
                    "AccessionNumber": f"A{number}",
                    "PatientName": "Doe^Jane",
                    "stored_ms": 1,
                    "updated_ms": 1,
                    "attributes": b"{}",
                }
                for number, uid in enumerate(STUDIES)
            ],
        )
    engine.dispose()
    return path


@pytest.fixture
async def archive(migrated: Path, tmp_path: Path) -> AsyncIterator[Archive]:
    path = tmp_path / "archive.sqlite"
    copy_at(migrated, path)
    database, wall = open_database(at(path)), FakeWall()
    async with open_access(database, AccessSettings(BASE, tmp_path / "vault.key", channels=CHANNELS)) as access:
        access.clock._wall_ms = wall
        yield Archive(database, access, wall)
    await database.close()


def dicomweb_stand_in() -> list[web.RouteDef]:
    async def studies(request: web.Request) -> web.Response:
        scope = scope_of(request)
        seen = [uid for uid in STUDIES if scope.may_see_study(uid)]
        return web.json_response(seen, content_type="application/dicom+json")

    async def file(request: web.Request) -> web.Response:
        if not scope_of(request).may_see_study(request.match_info["study"]):
            raise NotFoundError
        return web.Response(body=b"DICM", content_type="application/dicom")

    async def frame(request: web.Request) -> web.StreamResponse:
        if not scope_of(request).may_see_study(request.match_info["study"]):
            raise NotFoundError
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        await response.prepare(request)
        await response.write(b"pixels")
        return response

    async def store(request: web.Request) -> web.Response:
        return web.json_response({"by": require_store(request)})

    async def delete(request: web.Request) -> web.Response:
        return web.json_response({"by": require_admin(request)})

    async def root(request: web.Request) -> web.Response:
        scope_of(request)
        return web.json_response({"root": root_of(request)})

    found = []
    for prefix in ("/dicom-web", "/s/{share_id}/dicom-web", "/t/{ticket}/dicom-web"):
        found += [
            web.get(f"{prefix}/studies", studies),
            web.post(f"{prefix}/studies", store),
            web.get(f"{prefix}/root", root),
            web.get(f"{prefix}/studies/{{study}}", file),
            web.delete(f"{prefix}/studies/{{study}}", delete),
            web.get(f"{prefix}/studies/{{study}}/series/{{series}}/instances/{{instance}}/frames/1", frame),
        ]
    return found


@dataclass
class Owner:
    """A patient who has opened the own link, with the study there and the link checked."""

    archive: Archive
    client: TestClient  # type: ignore[type-arg]  # any app
    request_id: str
    secret: str

    @property
    def api(self) -> str:
        return f"/api/o/{self.request_id}"

    async def share(self, **values: object) -> dict[str, object]:
        answer = await self.client.post(f"{self.api}/shares", json=values)
        assert answer.status == 201, await answer.text()
        return await answer.json()  # type: ignore[no-any-return]  # JSON

    async def code(self, about: str) -> str:
        """The newest code sent about a request or share."""

        def newest(connection: sa.Connection) -> bytes:
            query = sa.select(messages.c.content_encrypted).where(
                messages.c.about == about, messages.c.purpose == "code"
            )
            return connection.execute(query.order_by(messages.c.id.desc()).limit(1)).scalar_one()

        content = self.archive.access.vault.decrypt(await self.archive.database.read(newest), "message content")
        found = re.search(r"\b\d{6}\b", content)
        assert found
        return found[0]


@pytest.fixture
async def owner(archive: Archive, client: TestClient) -> Owner:  # type: ignore[type-arg]  # any app
    form = NewRequest(
        True,
        name="Zoë Müller",
        email="zoe@example.org",
        mobile="+491701234567",
        patient_id="P0",
        accession_number="A0",
        consented=True,
        by="staff desk",
    )
    made = await take_request(archive.access, form, Sending(frozenset({Channel.EMAIL}), on_paper=True))
    assert made.link
    owner = Owner(archive, client, made.request_id, made.link.secret)
    answer = await client.post(f"{owner.api}/open", json={"secret": owner.secret})
    assert (await answer.json())["next"] == "code"
    assert (await client.post(f"{owner.api}/code/send", json={"channel": "email"})).status == 202
    answer = await client.post(f"{owner.api}/code", json={"code": await owner.code(made.request_id)})
    assert (await answer.json())["next"] == "none"
    await archive.database.write(lambda connection: mark(connection, made.request_id, verified_ms=1))
    return owner


@pytest.fixture
async def client(archive: Archive) -> AsyncIterator[TestClient]:  # type: ignore[type-arg]  # any app
    app = web.Application()
    setup_problems(app)
    install(app, archive.access)
    app.add_routes(routes())
    app.add_routes(dicomweb_stand_in())
    async with TestClient(TestServer(app)) as client:
        yield client
