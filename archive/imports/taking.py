"""The bytes of one file of a disc → the archive, whatever kind of DICOM file it is."""

import asyncio
import mmap
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from archive.dicom.coercion import Coercion
from archive.dicom.explicit import complete_file
from archive.errors import LightboxError, NotAcceptableError, RefusedInstanceError
from archive.index.writer import NewInstance
from archive.ingest import Ingest
from archive.media.files import MediumError, Readable
from archive.media.kinds import REASONS, Kind

READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Way:
    """How files are taken in: by whom, and what is changed in them (None: what the settings say)."""

    by: str
    coercion: Coercion | None = None


async def take_file(ingest: Ingest, kind: Kind, chunks: Iterator[bytes], way: Way) -> NewInstance:
    """An upload that is finished and waits for the index. `kind` is DICOM, or BARE for one without its head.

    Raises LightboxError for what cannot be taken, and what reading `chunks` raises; nothing is left behind then.
    """
    if kind is not Kind.BARE:
        return await _upload(ingest, chunks, way)
    with tempfile.TemporaryFile() as spool:
        await asyncio.to_thread(_spool, chunks, spool, ingest.limits.instance_bytes)
        mapped = memoryview(mmap.mmap(spool.fileno(), 0, access=mmap.ACCESS_READ))  # ends with its last view
        return await _upload(ingest, await asyncio.to_thread(_completed, mapped), way)


def blocks(head: bytes, stream: Readable) -> Iterator[bytes]:
    """The head that was read, and the rest of the stream."""
    yield head
    while chunk := stream.read(READ_BYTES):
        yield chunk


def _spool(chunks: Iterator[bytes], spool: BinaryIO, limit_bytes: int) -> None:
    length = 0
    for chunk in chunks:
        length += len(chunk)
        if length > limit_bytes:
            raise LightboxError(f"One instance may have at most {limit_bytes} bytes.")
        spool.write(chunk)
    spool.flush()


def _completed(data: memoryview) -> Iterator[bytes]:
    try:
        return complete_file(data).blocks()
    except (RefusedInstanceError, NotAcceptableError):
        raise LightboxError(REASONS[Kind.UNKNOWN]) from None


async def _upload(ingest: Ingest, chunks: Iterator[bytes], way: Way) -> NewInstance:
    upload = ingest.begin(way.coercion)
    try:
        while chunk := await asyncio.to_thread(next, chunks, b""):
            await upload.write(chunk)
        return await upload.finish(study_uid=None, by=way.by)
    except (OSError, MediumError, LightboxError, asyncio.CancelledError):
        await upload.abort()
        raise
