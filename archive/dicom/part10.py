"""The head of a DICOM Part 10 file (PS3.10 §7): where its dataset begins and how that is encoded."""

import struct
import zlib
from dataclasses import dataclass

from archive.errors import RefusedInstanceError
from archive.identifiers import is_uid
from archive.instances import Buffer

CANNOT_UNDERSTAND = 0xC000
TRANSFER_SYNTAX_NOT_SUPPORTED = 0xC122
PREAMBLE_BYTES = 128
IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
EXPLICIT_BE = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
JPIP_DEFLATED = ("1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")
RATIO_COUNTS_FROM_BYTES = 64 << 20
"""A deflated dataset may grow by any factor up to this size: empty segmentations do."""
_BLOCK_BYTES = 1 << 18
_NO_MAGIC = "This is not a DICOM file: DICM does not stand at byte 128."

_META_HEAD = struct.Struct("<HH2sH")
_LONG = struct.Struct("<I")
_LONG_VRS = frozenset((b"OB", b"OW", b"OD", b"OF", b"OL", b"OV", b"UN", b"SQ", b"UT", b"UC", b"UR", b"SV", b"UV"))


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading one instance may cost; over a limit it is refused.

    `elements` counts those in items, items and fragments too. `depth` is how deep sequences nest. `inflated_bytes`
    bounds a deflated dataset, `inflated_ratio` what it may grow by once it is over `RATIO_COUNTS_FROM_BYTES`.
    `metadata_bytes` bounds the JSON that is made. `meta_bytes` bounds the file meta information.
    """

    elements: int = 1_000_000
    depth: int = 64
    inflated_bytes: int = 256 << 20
    inflated_ratio: int = 500
    metadata_bytes: int = 64 << 20
    meta_bytes: int = 1 << 20


@dataclass(frozen=True, slots=True)
class FileMeta:
    """File Meta Information that the archive uses. `dataset_offset` is the dataset's first byte.

    `complete` is False for a bare dataset without preamble and meta information, whose encoding was guessed.
    """

    transfer_syntax_uid: str
    media_storage_sop_class_uid: str
    media_storage_sop_instance_uid: str
    dataset_offset: int
    complete: bool = True

    @property
    def explicit(self) -> bool:
        return self.transfer_syntax_uid != IMPLICIT_LE

    @property
    def big_endian(self) -> bool:
        return self.transfer_syntax_uid == EXPLICIT_BE

    @property
    def deflated(self) -> bool:
        return self.transfer_syntax_uid == DEFLATED or self.transfer_syntax_uid in JPIP_DEFLATED


def refuse(message: str) -> RefusedInstanceError:
    """The refusal of what cannot be understood, for `raise refuse(…)`."""
    return RefusedInstanceError(CANNOT_UNDERSTAND, message)


def read_file_meta(
    data: Buffer,
    limits: Limits = Limits(),
    *,
    allow_missing_preamble: bool = False,
) -> FileMeta:
    """Read group 0002, always Explicit VR Little Endian (PS3.10 §7.1); its own group length is not believed.

    With `allow_missing_preamble` a file that begins with group 0002 or 0008 at its first byte is read too, as old
    programs write it.

    Raises RefusedInstanceError when this is no Part 10 file or names no transfer syntax.
    """
    if len(data) >= PREAMBLE_BYTES + 4 and bytes(data[PREAMBLE_BYTES : PREAMBLE_BYTES + 4]) == b"DICM":
        return _read_group(data, PREAMBLE_BYTES + 4, limits)
    if allow_missing_preamble and len(data) >= 8:
        group, _, vr, _ = _META_HEAD.unpack_from(data, 0)
        if group == 0x0002:
            return _read_group(data, 0, limits)
        if group in (0x0008, 0x0800):
            return FileMeta(_guessed_syntax(group, vr), "", "", 0, complete=False)
    raise refuse(_NO_MAGIC)


def require_magic(head: Buffer) -> None:
    """Raise RefusedInstanceError where a file that begins like this is no Part 10 file."""
    if bytes(head[PREAMBLE_BYTES : PREAMBLE_BYTES + 4]) != b"DICM":
        raise refuse(_NO_MAGIC)


def _guessed_syntax(group: int, vr: bytes) -> str:
    if group == 0x0800:
        return EXPLICIT_BE
    return EXPLICIT_LE if vr.isalpha() and vr.isupper() else IMPLICIT_LE


def _read_group(data: Buffer, position: int, limits: Limits) -> FileMeta:
    values: dict[int, bytes] = {}
    end = min(len(data), position + limits.meta_bytes)
    while position + 8 <= end:
        group, element, vr, length = _META_HEAD.unpack_from(data, position)
        if group != 0x0002:
            break
        position += 8
        if vr in _LONG_VRS:
            if position + 4 > end:
                raise refuse("The file meta information is cut short.")
            (length,) = _LONG.unpack_from(data, position)
            position += 4
        elif not (vr.isalpha() and vr.isupper()):  # implicit VR, against the standard
            (length,) = _LONG.unpack_from(data, position - 4)
        if position + length > end:
            raise refuse("The file meta information is cut short or too long.")
        if length <= 64 + 2:
            values[element] = bytes(data[position : position + length])
        position += length
    syntax = _uid(values.get(0x0010, b""))
    if not syntax:
        raise RefusedInstanceError(TRANSFER_SYNTAX_NOT_SUPPORTED, "The file names no transfer syntax (0002,0010).")
    if not is_uid(syntax):
        raise RefusedInstanceError(TRANSFER_SYNTAX_NOT_SUPPORTED, "The transfer syntax (0002,0010) is no UID.")
    return FileMeta(syntax, _uid(values.get(0x0002, b"")), _uid(values.get(0x0003, b"")), position)


def _uid(value: bytes) -> str:
    return value.decode("ascii", "replace").strip("\0 ")


def inflate(data: Buffer, limits: Limits) -> Buffer:
    """A deflated dataset (PS3.5 A.5), in bounded memory.

    Raises RefusedInstanceError over a limit, or when the stream is damaged or cut short.
    """
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    whole = bytearray()
    try:
        for start in range(0, len(data), _BLOCK_BYTES):
            block = bytes(data[start : start + _BLOCK_BYTES])
            full = True
            while (block or full) and not stream.eof:
                step = stream.decompress(block, _BLOCK_BYTES)
                whole += step
                block, full = stream.unconsumed_tail, len(step) == _BLOCK_BYTES
                _check_growth(len(whole), start + _BLOCK_BYTES, limits)
            if stream.eof:
                return memoryview(whole).toreadonly()
    except zlib.error:
        raise refuse("The deflated dataset is damaged.") from None
    raise refuse("The deflated dataset is cut short.")


def _check_growth(inflated_bytes: int, used_bytes: int, limits: Limits) -> None:
    if inflated_bytes > limits.inflated_bytes:
        raise refuse(f"The dataset inflates to more than {limits.inflated_bytes} bytes.")
    if inflated_bytes > RATIO_COUNTS_FROM_BYTES and inflated_bytes > used_bytes * limits.inflated_ratio:
        raise refuse(f"The dataset inflates to more than {limits.inflated_ratio} times its size.")
