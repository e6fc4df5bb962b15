"""An archive whose index holds one CT study with a report, the pages, and pictures that stand in for `/rendered`."""

import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from databases import at, engine_at
from PIL import Image
from servers import free_port

from archive.database import index_tables
from archive.database.engine import Database, migrate, open_database
from archive.delivery.mail import MailSettings
from archive.delivery.outbox import Channels
from archive.delivery.sms import SmsSettings
from archive.dicomweb.problems import setup_problems
from archive.identifiers import StudyUID
from archive.instances import FrameIndex, FrameLayout
from archive.operations.door import DOOR, Door
from archive.operations.figures import FiguresReader
from archive.operations.health import READINESS, Readiness
from archive.operations.routes import OPERATIONS, Operations
from archive.pages.problems import present_problem
from archive.pages.rendering import PAGES, Pages
from archive.pages.routes import routes as page_routes
from archive.store.memory import MemoryStore
from auth import routes as auth_routes
from auth.access import Access, AccessSettings, open_access, scope_of
from auth.factors import Passwords
from auth.gate import install
from auth.shares import Link, NewShare, create_share

STUDY = StudyUID("1.2.826.0.1.1")
REPORT_STUDY = StudyUID("1.2.826.0.1.2")
CHANNELS = Channels(MailSettings("127.0.0.1", 9), SmsSettings("http://127.0.0.1:9"))
"""Port 9 answers nobody: what is queued stays queued."""
EMPTY: dict[str, object] = {"stored_ms": 1, "updated_ms": 1, "attributes": b"{}"}


@dataclass
class Site:
    database: Database
    access: Access
    client: TestClient  # type: ignore[type-arg]  # any app
    base: str
    report_study: StudyUID = REPORT_STUDY

    async def share(self, *study_uids: StudyUID, **values: object) -> Link:
        new = NewShare(study_uids or (STUDY,), **values)  # type: ignore[arg-type]  # any field
        return await create_share(self.database, Passwords(), new, self.access.clock())

    async def opened(self, link: Link) -> None:
        answer = await self.client.post(f"/api/s/{link.share_id}/open", json={"secret": link.secret})
        assert answer.status == 200


def fill_index(path: Path) -> None:
    """A CT of 60 pictures, an ultrasound of 8 frames, a report; and a study that is a report only."""
    engine = engine_at(path)
    frames = FrameIndex(FrameLayout.NONE).to_bytes()
    with engine.begin() as connection:
        for study_id, uid in ((1, STUDY), (2, REPORT_STUDY)):
            values = {
                "PatientName": "Müller^Zoë <b>",
                "PatientBirthDate": "19801224",
                "StudyDate": "20261103",
                "StudyDescription": "CT head",
                "PatientID": "PID-1",
            }
            connection.execute(sa.insert(index_tables.studies).values(id=study_id, study_uid=uid, **values, **EMPTY))
        number = 0
        for series_id, (study_id, modality, title, count, frame_count) in enumerate(
            (
                (1, "CT", "Axial 5 mm", 60, ""),
                (1, "US", "Loop", 1, "8"),
                (1, "SR", "Findings", 1, ""),
                (2, "SR", "Findings", 1, ""),
            ),
            1,
        ):
            connection.execute(
                sa.insert(index_tables.series).values(
                    id=series_id,
                    study_id=study_id,
                    series_uid=f"1.2.826.0.2.{series_id}",
                    Modality=modality,
                    SeriesNumber=str(series_id),
                    SeriesDescription=title,
                    **EMPTY,
                )
            )
            for instance_number in range(1, count + 1):
                number += 1
                connection.execute(
                    sa.insert(index_tables.instances).values(
                        study_id=study_id,
                        series_id=series_id,
                        instance_uid=f"1.2.826.0.3.{number}",
                        sop_class_uid="1.2",
                        transfer_syntax_uid="1.2.840.10008.1.2.1",
                        digest=f"{number:064x}",
                        length_bytes=1,
                        is_report=modality == "SR",
                        is_image=modality != "SR",
                        stored_ms=1,
                        stored_by="test",
                        InstanceNumber=str(instance_number),
                        NumberOfFrames=frame_count,
                        frames=frames,
                    )
                )
    engine.dispose()


async def rendered(request: web.Request) -> web.Response:
    """A grey picture whose brightness is the instance's number."""
    scope_of(request)
    number = int(request.match_info["instance"].rpartition(".")[2])
    side = int(request.query.get("viewport", "64,64").split(",")[0])
    data = io.BytesIO()
    Image.new("L", (side, side), 40 + 3 * number % 200).save(data, "JPEG")
    return web.Response(body=data.getvalue(), content_type="image/jpeg")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    path = tmp_path / "archive.sqlite"
    migrate(at(path))
    fill_index(path)
    database = open_database(at(path))
    base = f"http://127.0.0.1:{(port := free_port())}"
    settings = AccessSettings(base, tmp_path / "vault.key", channels=CHANNELS, help_phone="+49 30 123456")
    async with open_access(database, settings) as access:
        app = web.Application()
        setup_problems(app, present_problem)
        install(app, access)
        app[DOOR] = Door()
        app[READINESS] = Readiness(database, MemoryStore(tmp_path / "store"), tmp_path / "scrub.json")
        figures = FiguresReader(database, path, tmp_path / "scrub.json", access.clock)
        app[OPERATIONS] = Operations(figures, lambda: 0, "1.0")
        app[PAGES] = Pages("St. Elsewhere Hospital", "+49 30 123456")
        app.add_routes(page_routes())
        app.add_routes(auth_routes.routes())
        instance = "/s/{share_id}/dicom-web/studies/{study}/series/{series}/instances/{instance}"
        app.add_routes([web.get(instance + tail, rendered) for tail in ("/rendered", "/frames/{frame}/rendered")])
        async with TestClient(TestServer(app, host="127.0.0.1", port=port)) as client:
            yield Site(database, access, client, base)
    await database.close()
