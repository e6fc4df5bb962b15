"""An archive with four studies of two patients, and a small app with the access control in front of stand-in routes."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from archive.database import index_tables
from archive.database.access_tables import audit_events
from archive.database.engine import Database, migrate
from archive.dicomweb.problems import setup_problems
from archive.errors import NotFoundError
from archive.identifiers import StudyUID
from auth.access import Access, AccessSettings, open_access, require_admin, require_store, root_of, scope_of
from auth.factors import Passwords
from auth.gate import install
from auth.routes import routes
from auth.shares import Link, NewShare, create_share

STUDIES = tuple(StudyUID(f"1.2.826.0.1.{number}") for number in range(1, 5))
BASE = "http://127.0.0.1:8042"


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
        new = NewShare(chosen, **values)  # type: ignore[arg-type]
        return await create_share(self.database, self.passwords, new, self.access.clock())

    async def trail(self, *actions: str) -> list[sa.RowMapping]:
        await self.access.audit.flush()

        def rows(connection: sa.Connection) -> list[sa.RowMapping]:
            return list(connection.execute(sa.select(audit_events).order_by(audit_events.c.id)).mappings())

        return [row for row in await self.database.read(rows) if not actions or row["action"] in actions]


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "archive.sqlite"
    migrate(path)
    engine = sa.create_engine(f"sqlite:///{path}")
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
    shutil.copy(migrated, path)
    database, wall = Database.open(path), FakeWall()
    async with open_access(database, AccessSettings(BASE, tmp_path / "vault.key")) as access:
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


@pytest.fixture
async def client(archive: Archive) -> AsyncIterator[TestClient]:  # type: ignore[type-arg]
    app = web.Application()
    setup_problems(app)
    install(app, archive.access)
    app.add_routes(routes())
    app.add_routes(dicomweb_stand_in())
    async with TestClient(TestServer(app)) as client:
        yield client
