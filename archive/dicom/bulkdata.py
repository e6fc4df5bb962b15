"""The large values that metadata gives as BulkDataURI, read from the stored file when they are asked for."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from archive.dicom.part10 import FileMeta, Limits, read_file_meta
from archive.dicom.values import little_endian
from archive.dicom.walk import BulkValue, Json, walk
from archive.errors import NotFoundError
from archive.instances import Buffer, Span

BLOCK_BYTES = 1 << 20
MIME_TYPE_OF_DOCUMENT = "00420012"
ENCAPSULATED_DOCUMENT = "00420011"
_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]{1,60}", re.ASCII)


@dataclass(frozen=True, slots=True)
class BulkData:
    """One value, and the bytes that its spans lie in: the file's own, or those of its inflated dataset."""

    value: BulkValue
    data: Buffer
    meta: FileMeta
    document_type: str = ""
    """Media type of an encapsulated document (0042,0012)."""

    @property
    def length_bytes(self) -> int:
        return sum(span.length_bytes for span in self.value.spans)

    @property
    def in_file(self) -> bool:
        """Whether the spans are ranges of the stored file and can be sent as they lie there."""
        return not self.meta.deflated and not (
            self.value.big_endian and little_endian(b"\0\1", self.value.vr) != b"\0\1"
        )

    def spans_within(self, part: Span | None) -> Iterator[Span]:
        """The spans of a part of the value, counted from its first byte; all of them for None."""
        if part is None:
            yield from self.value.spans
            return
        position, end = 0, part.offset + part.length_bytes
        for span in self.value.spans:
            start = max(part.offset - position, 0)
            stop = min(end - position, span.length_bytes)
            if start < stop:
                yield Span(span.offset + start, stop - start)
            position += span.length_bytes

    def blocks(self) -> Iterator[bytes]:
        """The value in little endian order, in blocks of bounded size; fragments joined (PS3.18 §8.7.3.3.2)."""
        for span in self.value.spans:
            for start in range(span.offset, span.offset + span.length_bytes, BLOCK_BYTES):
                block = bytes(self.data[start : min(start + BLOCK_BYTES, span.offset + span.length_bytes)])
                yield little_endian(block, self.value.vr) if self.value.big_endian else block


def read_bulk_data(data: Buffer, limits: Limits = Limits()) -> list[BulkData]:  # noqa: B008 - frozen
    """All large values of a stored file, in the order of its metadata."""
    meta = read_file_meta(data, limits)
    walked = walk(data, meta, limits)
    document_type = _document_type(walked.attributes)
    return [
        BulkData(value, walked.data, meta, document_type if value.path == ENCAPSULATED_DOCUMENT else "")
        for value in walked.bulk
    ]


def _document_type(attributes: Json) -> str:
    values = attributes.get(MIME_TYPE_OF_DOCUMENT, {}).get("Value") or [""]
    text = str(values[0])
    return text if _MEDIA_TYPE.fullmatch(text) else ""


def find_bulk_data(data: Buffer, path: str, limits: Limits = Limits()) -> BulkData:  # noqa: B008 - frozen
    """The value at a path: `{tag}`, or `{tag}/{item number}/{tag}…`. Raises NotFoundError when none is there."""
    for found in read_bulk_data(data, limits):
        if found.value.path == path:
            return found
    raise NotFoundError
