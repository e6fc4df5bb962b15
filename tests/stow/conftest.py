"""A store service over a stand-in ingest: instances are text files `study/series/instance/class`."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from archive.audit import Event
from archive.dicomweb.payload import PUBLIC_BASE, TO_XML
from archive.dicomweb.problems import setup_problems
from archive.errors import ForbiddenError, PayloadTooLargeError, RefusedInstanceError, StorageFullError
from archive.identifiers import InstanceUID, SeriesUID, StudyUID
from archive.ingest import Ingest
from archive.instances import FrameIndex, FrameLayout, ParsedInstance, StoredInstance
from archive.resources import INGEST
from stow.parts import StowLimits
from stow.routes import AUTHORIZE, LIMITS, routes

BASE = "https://pacs.example"
ROOT = f"{BASE}/dicom-web"

StowClient = TestClient[web.Request, web.Application]


@dataclass
class FakePrepared:
    parsed: ParsedInstance
    content: bytes
    by: str


@dataclass
class FakeIngest:
    """Remembers what was indexed; `open` counts uploads that were neither finished nor aborted."""

    instance_limit: int = 1 << 20
    indexed: dict[str, bytes] = field(default_factory=dict)
    by: set[str] = field(default_factory=set)
    open: int = 0
    full: bool = False
    full_at_index: int | None = None
    index_calls: int = 0

    def begin(self) -> "FakeUpload":
        if self.full:
            raise StorageFullError("The disk is full.")
        self.open += 1
        return FakeUpload(self)

    async def index(
        self, batch: Sequence[FakePrepared], event: Event | None
    ) -> list[StoredInstance | RefusedInstanceError]:
        self.index_calls += 1
        if self.full_at_index is not None and self.index_calls >= self.full_at_index:
            raise StorageFullError("The disk is full.")
        return [self._add(prepared) for prepared in batch]

    def _add(self, prepared: FakePrepared) -> StoredInstance | RefusedInstanceError:
        parsed = prepared.parsed
        known = self.indexed.setdefault(parsed.instance_uid, prepared.content)
        if known != prepared.content:
            return RefusedInstanceError(0x0111, "Other bytes are stored under this SOP Instance UID.")
        self.by.add(prepared.by)
        warning = 0xB000 if prepared.content.endswith(b"/odd") else None
        return StoredInstance(
            parsed.study_uid,
            parsed.series_uid,
            parsed.instance_uid,
            parsed.sop_class_uid,
            already_there=known is not prepared.content,
            warning_reason=warning,
        )


class FakeUpload:
    def __init__(self, ingest: FakeIngest) -> None:
        self._ingest = ingest
        self._content = b""

    async def write(self, chunk: bytes) -> None:
        self._content += chunk
        if b"crash" in self._content:
            raise KeyError("Doe^Jane")
        if len(self._content) > self._ingest.instance_limit:
            limit = self._ingest.instance_limit
            raise PayloadTooLargeError(f"One instance may have at most {limit} bytes.", limit_bytes=limit)

    async def finish(self, *, study_uid: StudyUID | None, by: str) -> FakePrepared:
        await asyncio.sleep(0)
        self._ingest.open -= 1
        fields = self._content.decode("latin-1").split("/")
        if len(fields) < 4:
            raise RefusedInstanceError(0xC000, "This is not a DICOM file.")
        study, series, instance, sop_class = fields[:4]
        if study_uid is not None and study != study_uid:
            raise RefusedInstanceError(0xA900, "Another study.", sop_class_uid=sop_class, instance_uid=instance)
        parsed = ParsedInstance(
            StudyUID(study),
            SeriesUID(series),
            InstanceUID(instance),
            sop_class,
            "1.2.840.10008.1.2.1",
            FrameIndex(FrameLayout.NONE),
            None,
            b"{}",
        )
        return FakePrepared(parsed, self._content, by)

    async def abort(self) -> None:
        self._ingest.open -= 1


@pytest.fixture
def ingest() -> FakeIngest:
    return FakeIngest()


def authorize(request: web.Request) -> str:
    if request.headers.get("Authorization") == "Bearer reader":
        raise ForbiddenError("This token may not store.")
    return "scanner"


@pytest.fixture
async def stow(ingest: FakeIngest, aiohttp_client: AiohttpClient) -> StowClient:
    return await start(ingest, aiohttp_client, StowLimits(idle_s=5))


@pytest.fixture
def stow_with(ingest: FakeIngest, aiohttp_client: AiohttpClient) -> Callable[[StowLimits], Awaitable[StowClient]]:
    async def with_limits(limits: StowLimits) -> StowClient:
        return await start(ingest, aiohttp_client, limits)

    return with_limits


async def start(ingest: FakeIngest, aiohttp_client: AiohttpClient, limits: StowLimits) -> StowClient:
    app = web.Application()
    setup_problems(app)
    app[INGEST] = cast("Ingest", ingest)  # has what stow uses
    app[AUTHORIZE] = authorize
    app[LIMITS] = limits
    app[PUBLIC_BASE] = BASE
    app[TO_XML] = lambda module: f"<NativeDicomModel>{len(module)}</NativeDicomModel>".encode()
    app.add_routes(routes("/dicom-web"))
    return await aiohttp_client(app)
