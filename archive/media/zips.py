"""ZIP files, within bounds: how many entries, how much they unpack to, and how much more that is than what came.

Sizes that the ZIP claims are looked at first and believed never: what really comes out is counted as it is read.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from archive.media.files import MediumError, MediumFile, Readable, neutral_name

_END, _END_LENGTH, _COMMENT_BYTES = b"PK\x05\x06", 22, 65_535
_END64_LOCATOR, _LOCATOR_LENGTH = b"PK\x06\x07", 20
_END64 = struct.Struct("<4sQ2H2L4Q")
ENCRYPTED_FLAG = 0x1


@dataclass(frozen=True, slots=True)
class ZipLimits:
    """`directory_bytes` bounds the table of contents, which is held in memory. `ratio` is how many times its packed
    size an entry may unpack to, once it is over `ratio_counts_from_bytes`."""

    entries: int = 100_000
    directory_bytes: int = 32 << 20
    entry_bytes: int = 8 << 30
    total_bytes: int = 200 << 30
    ratio: int = 500
    ratio_counts_from_bytes: int = 16 << 20


class Unpacked:
    """How many bytes have come out of one ZIP so far."""

    __slots__ = ("length_bytes",)

    def __init__(self) -> None:
        self.length_bytes = 0


@contextmanager
def open_zip(path: Path, limits: ZipLimits = ZipLimits()) -> Iterator[list[MediumFile]]:
    """The files of a ZIP. Raises MediumError when it is none, is damaged, or has more in it than `limits` allow."""
    with path.open("rb") as file:
        _check_directory(file, limits)
        try:
            archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, UnicodeDecodeError, ValueError, struct.error):
            raise MediumError("This ZIP file is damaged or cut short.") from None
        with archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(entries) > limits.entries:
                raise MediumError(f"This ZIP file has more than {limits.entries} files in it.")
            if sum(entry.file_size for entry in entries) > limits.total_bytes:
                raise MediumError(f"This ZIP file says that it unpacks to more than {limits.total_bytes >> 30} GB.")
            unpacked = Unpacked()
            yield [
                MediumFile(
                    neutral_name(entry.filename),
                    entry.file_size,
                    partial(_opened, archive, entry, limits, unpacked),
                    _problem(entry, limits),
                )
                for entry in entries
            ]


def _check_directory(file: BinaryIO, limits: ZipLimits) -> None:
    """Hold the table of contents to its bound before anything is allocated for it."""
    length = file.seek(0, 2)
    file.seek(max(0, length - _END_LENGTH - _COMMENT_BYTES - _LOCATOR_LENGTH))
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or at + _END_LENGTH > len(tail):
        raise MediumError("This ZIP file is damaged or cut short.")
    (directory_bytes,) = struct.unpack_from("<L", tail, at + 12)
    locator = tail[max(0, at - _LOCATOR_LENGTH) : at]
    if locator.startswith(_END64_LOCATOR) and len(locator) == _LOCATOR_LENGTH:
        (offset,) = struct.unpack_from("<Q", locator, 8)
        if offset < length:
            file.seek(offset)
            record = file.read(_END64.size)
            if len(record) == _END64.size:
                directory_bytes = max(directory_bytes if directory_bytes != 0xFFFFFFFF else 0, _END64.unpack(record)[8])
    file.seek(0)
    if directory_bytes > limits.directory_bytes:
        raise MediumError(f"This ZIP file has a table of contents of more than {limits.directory_bytes >> 20} MB.")


def _problem(entry: zipfile.ZipInfo, limits: ZipLimits) -> str:
    if entry.flag_bits & ENCRYPTED_FLAG:
        return "The file is encrypted with a password."
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "The file is packed in a way that is not read here; pack it with the usual one (deflate)."
    if _is_too_much(entry.file_size, entry.compress_size, limits):
        return _too_much(limits)
    return ""


def _is_too_much(unpacked_bytes: int, packed_bytes: int, limits: ZipLimits) -> bool:
    return unpacked_bytes > limits.entry_bytes or (
        unpacked_bytes > limits.ratio_counts_from_bytes and unpacked_bytes > packed_bytes * limits.ratio
    )


def _too_much(limits: ZipLimits) -> str:
    return f"The file unpacks to more than {limits.ratio} times its size, or is too large: a ZIP bomb?"


@contextmanager
def _opened(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limits: ZipLimits, unpacked: Unpacked
) -> Iterator[Readable]:
    try:
        with archive.open(entry) as stream:
            yield _Bounded(stream, entry.compress_size, limits, unpacked)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, struct.error):
        raise MediumError("The file is damaged inside the ZIP file.") from None


class _Bounded:
    """A file of the ZIP that counts what really comes out."""

    def __init__(self, stream: Readable, packed_bytes: int, limits: ZipLimits, unpacked: Unpacked) -> None:
        self._stream, self._packed_bytes, self._limits, self._unpacked = stream, packed_bytes, limits, unpacked
        self._length_bytes = 0

    def read(self, size: int, /) -> bytes:
        chunk = self._stream.read(size)
        self._length_bytes += len(chunk)
        self._unpacked.length_bytes += len(chunk)
        if self._unpacked.length_bytes > self._limits.total_bytes:
            raise MediumError(f"The ZIP file unpacks to more than {self._limits.total_bytes >> 30} GB.")
        if _is_too_much(self._length_bytes, self._packed_bytes, self._limits):
            raise MediumError(_too_much(self._limits))
        return chunk
