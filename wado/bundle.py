"""A study as an offline bundle: a ZIP file that is a medium (PS3.10 §8, IHE PDI), written while it is sent.

Beside the instances, byte for byte as stored, it holds a DICOMDIR, small pictures and a page that shows them without a
network, a README, and the checksum of every file. Nothing in it can run. Memory holds the directory and one chunk.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from archive.database.engine import Connection, Database
from archive.dicomweb.media_types import Offer
from archive.dicomweb.payload import root_of
from archive.dicomweb.targets import StudyTarget
from archive.errors import BadRequestError, BusyError, LightboxError, NotFoundError
from archive.index.reader import read_documents
from archive.instances import FrameLayout, Instance
from archive.languages import Language, choose_language
from archive.media.dicomdir import MediaFile, dicomdir, directory_attributes
from archive.resources import DATABASE, STORE
from archive.scope import Scope
from archive.store.contract import Store
from auth.access import ACCESS, scope_of
from auth.gate import require_download
from wado.blobs import verified_chunks
from wado.bundle_page import Preview, index_page, readme
from wado.containers import ZipStream, send_archive
from wado.documents import HTML, document_offers, open_document
from wado.finding import negotiation_of, require_instances
from wado.offers import ZIP
from wado.pixels.parameters import JPEG, RenderParameters, Viewport
from wado.pixels.pool import PixelPool
from wado.reports import report_html
from wado.sources import PIXELS, frame_source

PREVIEW = RenderParameters(JPEG, viewport=Viewport(768, 768), quality=85)
MAXIMUM_PREVIEWS = 5_000
MAXIMUM_FILES = 200_000
"""Instances of one bundle: their directory is kept in memory, about a kilobyte each."""
READ_AT_ONCE = 100
PREPARED_AT_ONCE = 2
PREPARE_WAIT_S = 30.0
PREPARING: web.AppKey[asyncio.Semaphore] = web.AppKey("PREPARING", asyncio.Semaphore)
"""Directories are made of at most `PREPARED_AT_ONCE` studies at a time: each is work and memory for all its files."""
MAXIMUM_DOCUMENT_BYTES = 32 << 20
"""A larger PDF is in the bundle as the instance that holds it, and not a second time."""
NUMBER, SERIES_NUMBER, SERIES_TEXT = "00200013", "00200011", "0008103E"


async def retrieve_bundle(request: web.Request) -> web.StreamResponse:
    """Send the bundle of a study; `previews=no` leaves the pictures out, `lang` is the language of its page."""
    scope = scope_of(request)
    target = StudyTarget.parse(request.match_info)
    if request.query.get("previews", "yes") not in ("yes", "no"):
        raise BadRequestError("previews is yes or no.", parameter="previews")
    negotiation_of(request).choose((Offer(ZIP),))
    await require_download(request)  # before the work, which is large
    instances = await require_instances(request, scope, target)
    language = choose_language(
        request.app[ACCESS].languages, request.query.get("lang", ""), request.headers.get("Accept-Language", "")
    )
    pool = request.app[PIXELS] if request.query.get("previews") != "no" else None
    bundle = Bundle(request.app[DATABASE], request.app[STORE], scope, language, pool)
    try:
        async with asyncio.timeout(PREPARE_WAIT_S):
            await request.app[PREPARING].acquire()
    except TimeoutError:
        raise BusyError("Too many downloads are being prepared; try again.") from None
    try:
        members = await bundle.members(instances)
        directory = await asyncio.to_thread(dicomdir, [member.media for member in members])
    finally:
        request.app[PREPARING].release()
    headers = {
        "Content-Disposition": 'attachment; filename="images.zip"',
        "Content-Location": root_of(request).uri(f"{target.path()}/bundle"),
    }
    return await send_archive(request, headers, bundle.chunks(members, directory))


@dataclass(frozen=True, slots=True)
class Member:
    """An instance and its place in the bundle."""

    instance: Instance
    media: MediaFile

    @property
    def name(self) -> str:
        return "/".join(self.media.file_id)

    def preview_name(self, ending: str) -> str:
        return "/".join(("IHE_PDI", *self.media.file_id[2:])) + ending


@dataclass(slots=True)
class Bundle:
    """What bundles are made from. `pool` draws the small pictures; without it there are none, and no page."""

    database: Database
    store: Store
    scope: Scope
    language: Language
    pool: PixelPool | None = None
    _sums: list[str] = field(default_factory=list)

    async def chunks(self, members: Sequence[Member], directory: bytes) -> AsyncIterator[bytes]:
        """The bytes of the ZIP file. Raises StoreError where stored bytes are damaged: the bundle breaks off."""
        archive = ZipStream()
        series_count = len({member.instance.series_uid for member in members})
        for name, content in (("README.TXT", readme(len(members), series_count)), ("DICOMDIR", directory)):
            for taken in self._small(archive, name, content):
                yield taken
        for member in members:
            content_chunks = verified_chunks(self.store, member.instance)
            async for taken in archive.add(member.name, member.instance.length_bytes, content_chunks):
                yield taken
            self._sums.append(f"{member.instance.digest}  {member.name}")
        if self.pool is not None:
            async for taken in self._pictures(archive, members):
                yield taken
        yield b"".join(archive.add_bytes("SHA256.TXT", ("\r\n".join(self._sums) + "\r\n").encode()))
        for taken in archive.close():
            yield taken

    def _small(self, archive: ZipStream, name: str, content: bytes) -> Iterator[bytes]:
        self._sums.append(f"{hashlib.sha256(content).hexdigest()}  {name}")
        yield from archive.add_bytes(name, content)

    async def members(self, instances: Sequence[Instance]) -> list[Member]:
        """Every instance with what the directory says of it, by the numbers of series and instance."""
        if len(instances) > MAXIMUM_FILES:
            raise BadRequestError(f"A bundle holds at most {MAXIMUM_FILES} files.")
        read: list[tuple[Instance, dict[str, Any]]] = []
        for start in range(0, len(instances), READ_AT_ONCE):
            batch = instances[start : start + READ_AT_ONCE]
            read += zip(batch, await self.database.read(self._attributes, batch), strict=True)
        read.sort(key=lambda pair: (_number(pair[1], SERIES_NUMBER), pair[0].series_uid, _number(pair[1], NUMBER)))
        members = []
        places: dict[str, int] = {}
        counts: dict[str, int] = {}
        for instance, attributes in read:
            place = places.setdefault(instance.series_uid, len(places) + 1)
            counts[instance.series_uid] = counts.get(instance.series_uid, 0) + 1
            name = ("DICOM", "ST000001", f"SE{place:06}", f"IM{counts[instance.series_uid]:06}")
            members.append(Member(instance, MediaFile(name, attributes, instance.transfer_syntax_uid)))
        return members

    def _attributes(self, connection: Connection, batch: Sequence[Instance]) -> list[dict[str, Any]]:
        """What the directory needs of each; a document can be large, and is let go before the next is read."""
        uids = [instance.instance_uid for instance in batch]
        found = {
            uid: directory_attributes(orjson.loads(document))
            for uid, document in read_documents(self.scope, connection, batch[0].study_uid, uids)
        }
        if len(found) < len(uids):
            raise NotFoundError  # something was taken away since
        return [found[uid] for uid in uids]

    def _document(self, connection: Connection, instance: Instance) -> dict[str, Any]:
        for _, document in read_documents(self.scope, connection, instance.study_uid, [instance.instance_uid]):
            attributes: dict[str, Any] = orjson.loads(document)
            return attributes
        raise NotFoundError

    async def _pictures(self, archive: ZipStream, members: Sequence[Member]) -> AsyncIterator[bytes]:
        """Previews and readable reports, then the page that shows them."""
        previews: list[Preview] = []
        missing = 0
        for member in members:
            title = str(_first(member.media.attributes, SERIES_TEXT) or "")
            name, content = "", b""
            if len(previews) < MAXIMUM_PREVIEWS:
                name, content = await self._preview(member)
            if not name:
                missing += 1
                continue
            previews.append(Preview(name, member.media.file_id[2], title, is_report=not name.endswith(".JPG")))
            for taken in self._small(archive, name, content):
                yield taken
        page = index_page(self.language, members[0].media.attributes, previews, missing)
        for taken in self._small(archive, "INDEX.HTM", page):
            yield taken

    async def _preview(self, member: Member) -> tuple[str, bytes]:
        """Name and bytes of what shows an instance to people; empty where nothing does."""
        instance, pool = member.instance, self.pool
        try:
            offers = document_offers(instance)
            if offers:
                document = await self.database.read(self._document, instance)
                if offers[0].media_type == HTML:
                    return member.preview_name(".HTM"), (await asyncio.to_thread(report_html, document)).encode()
                opened = await open_document(self.store, instance, document)
                if opened.length_bytes > MAXIMUM_DOCUMENT_BYTES:
                    return "", b""
                return member.preview_name(".PDF"), b"".join([chunk async for chunk in opened.chunks])
            if pool is None or instance.frames.layout in (FrameLayout.NONE, FrameLayout.WHOLE):
                return "", b""
            source = await frame_source(self.store, instance)
            return member.preview_name(".JPG"), await pool.render(source, instance.frames.count // 2, PREVIEW)
        except LightboxError:
            return "", b""  # the original is in the bundle, and the page says how many have no preview


def _first(attributes: Any, tag: str) -> Any:
    return next(iter(attributes.get(tag, {}).get("Value", ())), None)


def _number(attributes: Any, tag: str) -> float:
    value = _first(attributes, tag)
    return float(value) if isinstance(value, int | float) else float("inf")
