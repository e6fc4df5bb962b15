"""Instances as one ZIP file, written while it is sent (PS3.18 §8.7.3.4, Supplement 211).

Files are put in as they are stored, uncompressed: pixel data is compressed already, or quicker sent than compressed.
Names count series and instances in the order in which they came, so that no name tells anything about anyone.
"""

import asyncio
import hashlib
import io
import stat
import zipfile
from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from archive.dicomweb.media_types import Offer
from archive.dicomweb.multipart_response import SEND_IDLE_S, break_off
from archive.dicomweb.payload import root_of
from archive.dicomweb.ranges import is_not_modified, quoted_etag
from archive.errors import BrokenStreamError
from archive.instances import Instance
from archive.resources import STORE
from archive.store.contract import Store
from wado.blobs import verified_chunks
from wado.offers import AS_STORED, ZIP

ZIP_OFFER = Offer(ZIP, rank=AS_STORED)
EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The time of every file: the format knows no earlier one, and when an image was made is the image's to say."""


def member_names(instances: Sequence[Instance]) -> list[str]:
    """A name for each instance: its series' number and its own, in the order in which they are given."""
    series: dict[str, int] = {}
    counts: dict[str, int] = {}
    names = []
    for instance in instances:
        number = series.setdefault(instance.series_uid, len(series) + 1)
        counts[instance.series_uid] = counts.get(instance.series_uid, 0) + 1
        names.append(f"SE{number:05}/IM{counts[instance.series_uid]:05}.dcm")
    return names


async def send_zip(request: web.Request, instances: Sequence[Instance], path: str) -> web.StreamResponse:
    """Send the instances, found at `path`, as one ZIP file."""
    hasher = hashlib.sha256()
    for instance in instances:
        hasher.update(instance.digest.encode())
    tag = quoted_etag(f"{hasher.hexdigest()[:40]}-zip")
    if is_not_modified(request.headers.getall("If-None-Match", []), tag):
        return web.Response(status=304, headers={"ETag": tag})
    headers = {
        "Content-Disposition": 'attachment; filename="dicom.zip"',
        "Content-Location": root_of(request).uri(path),
        "ETag": tag,
    }
    return await send_archive(request, headers, zip_chunks(request.app[STORE], instances))


async def send_archive(
    request: web.Request, headers: dict[str, str], chunks: AsyncIterator[bytes]
) -> web.StreamResponse:
    """Send a ZIP file while it is made. A fault before the first byte is a status; later it breaks the answer off."""
    response = web.StreamResponse(headers={"Content-Type": ZIP, **headers})
    if request.method == "HEAD":
        await response.prepare(request)
        return response
    try:
        async for chunk in chunks:
            if not response.prepared:
                await response.prepare(request)
            async with asyncio.timeout(SEND_IDLE_S):
                await response.write(chunk)
        await response.write_eof()
    except BaseException as error:
        if response.prepared:
            break_off(request)  # no client takes half an archive for a whole one
            if isinstance(error, Exception) and not isinstance(error, ConnectionError):
                raise BrokenStreamError("The answer could not be completed.") from error
        raise
    return response


async def zip_chunks(store: Store, instances: Sequence[Instance]) -> AsyncIterator[bytes]:
    """The bytes of the archive; memory holds one chunk and the names. Raises StoreError on damaged bytes."""
    archive = ZipStream()
    for name, instance in zip(member_names(instances), instances, strict=True):
        async for taken in archive.add(name, instance.length_bytes, verified_chunks(store, instance)):
            yield taken
    for taken in archive.close():
        yield taken


class ZipStream:
    """A ZIP file (ZIP64 where it must be) whose bytes are taken while it is made; nothing is compressed."""

    def __init__(self) -> None:
        self._sink = _Sink()
        self._archive = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_STORED)

    async def add(self, name: str, length_bytes: int, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Put a file in; gives the archive's bytes as far as they are made."""
        member = zipfile.ZipInfo(name, EARLIEST)
        member.file_size = length_bytes  # decides between 32 and 64 bits
        member.external_attr = (stat.S_IFREG | 0o644) << 16
        with self._archive.open(member, "w") as entry:
            async for chunk in chunks:
                entry.write(chunk)
                for taken in self._sink.take():
                    yield taken

    def add_bytes(self, name: str, content: bytes) -> list[bytes]:
        """Put a small file in; gives the archive's bytes as far as they are made."""
        member = zipfile.ZipInfo(name, EARLIEST)
        member.external_attr = (stat.S_IFREG | 0o644) << 16
        self._archive.writestr(member, content)
        return self._sink.take()

    def close(self) -> list[bytes]:
        """The end of the archive. Without it no reader takes the file for a whole one."""
        self._archive.close()
        return self._sink.take()


class _Sink(io.RawIOBase):
    """Where zipfile writes to; it cannot be sought in, so lengths and checksums come after each file."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise io.UnsupportedOperation

    def write(self, data: bytes) -> int:  # type: ignore[override]  # zipfile writes bytes and nothing else
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> list[bytes]:
        """What was written since the last time."""
        taken, self._pieces = self._pieces, []
        return taken
