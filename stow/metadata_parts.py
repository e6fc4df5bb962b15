"""Store from metadata and bulk data: JSON or XML objects and their bulk values in one request (PS3.18 §10.5.2, S4-S6).

Bulk parts come in any order and any size, so they are spooled to a temporary file; objects are put together when the
request has ended. A BulkDataURI is a key into the parts by Content-Location and nothing else: nothing is ever fetched.
"""

import asyncio
import errno
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Self

import orjson

from archive.dicomweb.media_types import DEFAULT_SYNTAX, EXPLICIT_VR_LE, MEDIA_TYPE_OF_SYNTAX
from archive.dicomweb.multipart import IncomingPart, MultipartReader
from archive.errors import BadRequestError, LightboxError, PayloadTooLargeError, RefusedInstanceError, StorageFullError
from archive.identifiers import is_uid
from archive.instances import Span
from stow.dataset_encoder import PIXEL_DATA, SOP_CLASS, SOP_INSTANCE, Bulk, Piece, encode_file
from stow.image_headers import HEADER_BYTES, ImageHeader, read_image_header
from stow.outcome import CANNOT_UNDERSTAND, TRANSFER_SYNTAX_NOT_SUPPORTED
from stow.parts import Intake

JSON, XML = "application/dicom+json", "application/dicom+xml"
BLOCK_BYTES = 1 << 20
ENCAPSULATED_DOCUMENT, DOCUMENT_MEDIA_TYPE, DOCUMENT_LENGTH = "00420011", "00420012", "00420015"
NUMBER_OF_FRAMES = "00280008"

Json = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class MetadataLimits:
    """Bounds of one request of metadata; `objects` are the instances that it may describe."""

    metadata_bytes: int = 32 << 20
    objects: int = 10_000
    folder: str | None = None
    """Where bulk parts are spooled; None: the system's temporary folder."""


@dataclass(frozen=True, slots=True)
class BulkPart:
    """A bulk part in the spool."""

    media_type: str
    transfer_syntax_uid: str | None
    span: Span


class Spool:
    """A temporary file without a name; gone when it is closed, however the process ends."""

    def __init__(self, folder: str | None) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed by __aexit__
        self._end = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await asyncio.to_thread(self._file.close)

    async def append(self, chunks: AsyncIterator[bytes]) -> Span:
        """Write one part. Raises StorageFullError."""
        start, held = self._end, bytearray()
        async for chunk in chunks:
            held += chunk
            if len(held) >= BLOCK_BYTES:
                await self._write(held)
                held = bytearray()
        await self._write(held)
        return Span(start, self._end - start)

    async def _write(self, data: bytearray) -> None:
        if data:
            await asyncio.to_thread(self._write_all, data)
            self._end += len(data)

    def _write_all(self, data: bytearray) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file.fileno(), view) :]
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFullError("The disk is full.") from None
            raise

    async def read(self, span: Span) -> bytes:
        return await asyncio.to_thread(os.pread, self._file.fileno(), span.length_bytes, span.offset)

    async def stream(self, pieces: Sequence[Piece]) -> AsyncIterator[bytes]:
        for piece in pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            for start in range(0, piece.length_bytes, BLOCK_BYTES):
                length = min(BLOCK_BYTES, piece.length_bytes - start)
                yield await self.read(Span(piece.offset + start, length))


@dataclass(slots=True)
class _Request:
    """What one request holds: objects, or why one cannot be read, and bulk parts by Content-Location."""

    objects: list[Json | RefusedInstanceError] = field(default_factory=list)
    bulk: dict[str, list[BulkPart]] = field(default_factory=dict)
    metadata_bytes: int = 0


ParseXml = Callable[[bytes], Json]


async def take_metadata(reader: MultipartReader, intake: Intake, limits: MetadataLimits, parse_xml: ParseXml) -> None:
    """Read the whole request, then put every object together and take it in.

    Raises BadRequestError where the JSON is no array of objects, or there is none.
    """
    async with Spool(limits.folder) as spool:
        request = _Request()
        async for part in reader:
            await _read_part(part, request, spool, limits, parse_xml)
            if len(request.objects) > limits.objects:
                raise BadRequestError(f"A request has at most {limits.objects} objects.", parameter="body")
        if not request.objects:
            raise BadRequestError("The request holds no metadata.", parameter="body")
        for position, dataset in enumerate(request.objects, start=1):
            try:
                if isinstance(dataset, RefusedInstanceError):
                    raise dataset
                pieces = await _compose(dataset, request, spool)
            except RefusedInstanceError as error:
                intake.refuse(position, _named(error, dataset))
                continue
            await intake.take(position, spool.stream(pieces))


async def _read_part(
    part: IncomingPart, request: _Request, spool: Spool, limits: MetadataLimits, parse_xml: ParseXml
) -> None:
    content_type = part.content_type
    name = content_type.name if content_type is not None else ""
    if name not in (JSON, XML):
        location = part.headers.get("content-location", "").strip()
        syntax = content_type.parameters.get("transfer-syntax") if content_type is not None else None
        span = await spool.append(part.chunks())
        request.bulk.setdefault(location, []).append(BulkPart(name or "application/octet-stream", syntax, span))
        return
    document = bytearray()
    async for chunk in part.chunks():
        document += chunk
        request.metadata_bytes += len(chunk)
        if request.metadata_bytes > limits.metadata_bytes:
            limit = limits.metadata_bytes
            raise PayloadTooLargeError(f"Metadata may have at most {limit} bytes.", limit_bytes=limit)
    if name == JSON:
        request.objects.extend(_parse_json(bytes(document)))
        return
    try:
        request.objects.append(parse_xml(bytes(document)))
    except LightboxError as error:
        request.objects.append(RefusedInstanceError(CANNOT_UNDERSTAND, error.message))


def _parse_json(document: bytes) -> list[Json]:
    try:
        objects = orjson.loads(document)
    except orjson.JSONDecodeError:
        raise BadRequestError("The metadata is not well-formed JSON.", parameter="body") from None
    if isinstance(objects, dict):
        objects = [objects]
    if not isinstance(objects, list) or not all(isinstance(one, dict) for one in objects):
        raise BadRequestError("The metadata must be an array of DICOM JSON objects.", parameter="body")
    return objects


def _named(error: RefusedInstanceError, dataset: Json | RefusedInstanceError) -> RefusedInstanceError:
    """The error with the UIDs of its object, where they can be read."""
    if isinstance(dataset, RefusedInstanceError):
        return error
    sop_class, instance = _text_of(dataset, SOP_CLASS), _text_of(dataset, SOP_INSTANCE)
    if not is_uid(instance):
        return error
    return RefusedInstanceError(
        error.failure_reason,
        error.message,
        sop_class_uid=sop_class if is_uid(sop_class) else "",
        instance_uid=instance,
    )


def _text_of(dataset: Mapping[str, Any], tag: str) -> str:
    entry = dataset.get(tag)
    values = entry.get("Value") if isinstance(entry, dict) else None
    value = values[0] if isinstance(values, list) and values else ""
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""


async def _compose(dataset: Json, request: _Request, spool: Spool) -> list[Piece]:
    """The pieces of the object's Part 10 file. Raises RefusedInstanceError."""
    pixels = _bulk_of(dataset, PIXEL_DATA, request)
    syntax, fragments = EXPLICIT_VR_LE, None
    if pixels and _is_compressed(pixels[0]):
        dataset, syntax, spans = await _fill_in(dataset, pixels, spool)
        fragments = Bulk(spans, encapsulated=True)
    elif pixels and pixels[0].transfer_syntax_uid not in (None, "*", EXPLICIT_VR_LE):
        message = "Uncompressed bulk data must be Explicit VR Little Endian."
        raise RefusedInstanceError(TRANSFER_SYNTAX_NOT_SUPPORTED, message)
    document = _bulk_of(dataset, ENCAPSULATED_DOCUMENT, request)
    if document:
        length = {"vr": "UL", "Value": [document[0].span.length_bytes]}
        dataset = {DOCUMENT_LENGTH: length, **dataset}
        if document[0].media_type != "application/octet-stream":
            dataset = {DOCUMENT_MEDIA_TYPE: {"vr": "LO", "Value": [document[0].media_type]}, **dataset}
    pixel_uri = dataset.get(PIXEL_DATA, {}).get("BulkDataURI") if pixels else None

    def resolve(uri: str) -> Bulk | None:
        if fragments is not None and uri == pixel_uri:
            return fragments
        parts = request.bulk.get(uri.strip())
        return Bulk((parts[0].span,)) if parts else None

    return encode_file(dataset, syntax, resolve)


def _bulk_of(dataset: Json, tag: str, request: _Request) -> list[BulkPart]:
    entry = dataset.get(tag)
    uri = entry.get("BulkDataURI") if isinstance(entry, dict) else None
    return request.bulk.get(uri.strip(), []) if isinstance(uri, str) else []


def _is_compressed(part: BulkPart) -> bool:
    carrier = MEDIA_TYPE_OF_SYNTAX.get(part.transfer_syntax_uid or "", part.media_type)
    return carrier.startswith(("image/", "video/"))


async def _fill_in(dataset: Json, parts: Sequence[BulkPart], spool: Spool) -> tuple[Json, str, tuple[Span, ...]]:
    """The object with what its Image Pixel Macro lacks, the transfer syntax, the spans of the code streams."""
    first = parts[0]
    frames = int(_text_of(dataset, NUMBER_OF_FRAMES) or 1) if _text_of(dataset, NUMBER_OF_FRAMES).isdecimal() else 1
    if first.media_type.startswith("video/") or first.media_type == "image/dicom-rle":
        syntax = first.transfer_syntax_uid or DEFAULT_SYNTAX.get(first.media_type)
        if syntax is None:
            raise RefusedInstanceError(TRANSFER_SYNTAX_NOT_SUPPORTED, "The bulk data needs a transfer-syntax.")
        return dataset, syntax, tuple(part.span for part in parts)
    if frames > 1 and len(parts) != frames:
        message = "The compressed frames must come one a part, all with the Content-Location of the pixel data."
        raise RefusedInstanceError(CANNOT_UNDERSTAND, message)
    headers = []
    for part in parts:
        length = min(HEADER_BYTES, part.span.length_bytes)
        headers.append(read_image_header(await spool.read(Span(part.span.offset, length))))
    spans = tuple(
        Span(part.span.offset + header.offset, part.span.length_bytes - header.offset)
        for part, header in zip(parts, headers, strict=True)
    )
    syntax = first.transfer_syntax_uid or headers[0].transfer_syntax_uid
    return {**_pixel_macro(headers[0]), **dataset}, syntax, spans


def _pixel_macro(header: ImageHeader) -> Json:
    """The attributes of the Image Pixel Macro (PS3.3 Table C.7-11c) that the code stream tells."""

    def us(value: int) -> dict[str, Any]:
        return {"vr": "US", "Value": [value]}

    macro = {
        "00280002": us(header.samples_per_pixel),
        "00280004": {"vr": "CS", "Value": [header.photometric_interpretation]},
        "00280010": us(header.rows),
        "00280011": us(header.columns),
        "00280100": us(header.bits_allocated),
        "00280101": us(header.bits_stored),
        "00280102": us(header.bits_stored - 1),
        "00280103": us(int(header.is_signed)),
    }
    if header.samples_per_pixel > 1:
        macro["00280006"] = us(0)
    return macro
