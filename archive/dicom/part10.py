"""The head of a DICOM Part 10 file (PS3.10 §7): where its dataset begins and how that is encoded."""

import struct
import zlib
from dataclasses import dataclass

from archive.errors import RefusedInstanceError
from archive.instances import Buffer

CANNOT_UNDERSTAND = 0xC000
TRANSFER_SYNTAX_NOT_SUPPORTED = 0xC122
PREAMBLE_BYTES = 128
IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
EXPLICIT_BE = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
JPIP_DEFLATED = ("1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")
INFLATE_STEP_BYTES = 1 << 20

_META_HEAD = struct.Struct("<HH2sH")
_LONG = struct.Struct("<I")
_LONG_VRS = frozenset((b"OB", b"OW", b"OD", b"OF", b"OL", b"OV", b"UN", b"SQ", b"UT", b"UC", b"UR", b"SV", b"UV"))


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading one instance may cost; over a limit it is refused.

    `inflated_bytes` bounds a deflated dataset, `elements` counts all items, `depth` is how deep sequences nest.
    """

    elements: int = 2_000_000
    depth: int = 64
    inflated_bytes: int = 512 << 20
    meta_bytes: int = 1 << 20


@dataclass(frozen=True, slots=True)
class FileMeta:
    """File Meta Information that the archive uses. `dataset_offset` is the dataset's first byte."""

    transfer_syntax_uid: str
    media_storage_sop_class_uid: str
    media_storage_sop_instance_uid: str
    dataset_offset: int

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


def read_file_meta(data: Buffer, limits: Limits = Limits()) -> FileMeta:
    """Read group 0002, always Explicit VR Little Endian (PS3.10 §7.1); its own group length is not believed.

    Raises RefusedInstanceError when this is no Part 10 file or names no transfer syntax.
    """
    if len(data) < PREAMBLE_BYTES + 4 or bytes(data[PREAMBLE_BYTES : PREAMBLE_BYTES + 4]) != b"DICM":
        raise refuse("This is not a DICOM file: DICM does not stand at byte 128.")
    values: dict[int, bytes] = {}
    position = PREAMBLE_BYTES + 4
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
        if position + length > end:
            raise refuse("The file meta information is cut short or too long.")
        if length <= 64 + 2:
            values[element] = bytes(data[position : position + length])
        position += length
    syntax = _uid(values.get(0x0010, b""))
    if not syntax:
        raise RefusedInstanceError(TRANSFER_SYNTAX_NOT_SUPPORTED, "The file names no transfer syntax (0002,0010).")
    return FileMeta(syntax, _uid(values.get(0x0002, b"")), _uid(values.get(0x0003, b"")), position)


def _uid(value: bytes) -> str:
    return value.decode("ascii", "replace").strip("\0 ")


def inflate(data: Buffer, limits: Limits) -> bytes:
    """A deflated dataset (PS3.5 A.5), in bounded memory.

    Raises RefusedInstanceError over the limit, or when the stream is damaged or cut short.
    """
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    whole = bytearray()
    try:
        whole += stream.decompress(data, limits.inflated_bytes + 1)
    except zlib.error:
        raise refuse("The deflated dataset is damaged.") from None
    if len(whole) > limits.inflated_bytes:
        raise refuse(f"The dataset inflates to more than {limits.inflated_bytes} bytes.")
    if not stream.eof:
        raise refuse("The deflated dataset is cut short.")
    return bytes(whole)
