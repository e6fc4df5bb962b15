"""What a compressed image says of itself: enough to fill the Image Pixel Macro (PS3.18 §10.5.2, Table 10.5.2-1). Pure.

Only headers are read, nothing is decoded; every read is bounds-checked and the loops end with the data they are given.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from archive.errors import RefusedInstanceError
from stow.outcome import CANNOT_UNDERSTAND, TRANSFER_SYNTAX_NOT_SUPPORTED

_JPEG = "1.2.840.10008.1.2.4."
HEADER_BYTES = 1 << 16
"""As much of an image as is looked at."""
_STANDALONE = {0x01, *range(0xD0, 0xD9)}
_ENHANCED = (b"\0\0\0\x0cjP  \r\n\x87\n", b"\0\0\0\x0cjP\x1a\x1a\r\n\x87\n")


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """`offset` is where the code stream begins: it leaves JP2 boxes out, which DICOM does not take (PS3.5 A.4.4)."""

    rows: int
    columns: int
    samples_per_pixel: int
    photometric_interpretation: str
    bits_stored: int
    is_signed: bool
    transfer_syntax_uid: str
    offset: int = 0

    @property
    def bits_allocated(self) -> int:
        return 8 if self.bits_stored <= 8 else 16 if self.bits_stored <= 16 else 32


def read_image_header(data: bytes) -> ImageHeader:
    """Read the first octets of a JPEG, JPEG-LS, JPEG 2000 or HTJ2K image.

    Raises RefusedInstanceError where they are none of these, or end too soon.
    """
    try:
        if data.startswith(_ENHANCED):
            return _read_jpeg_2000(data, _code_stream_offset(data))
        if data.startswith(b"\xff\x4f\xff\x51"):
            return _read_jpeg_2000(data, 0)
        if data.startswith(b"\xff\xd8"):
            return _read_jpeg(data)
    except (struct.error, IndexError):
        raise RefusedInstanceError(CANNOT_UNDERSTAND, "The header of the image ends too soon.") from None
    raise RefusedInstanceError(CANNOT_UNDERSTAND, "The bulk data is no JPEG, JPEG-LS or JPEG 2000 image.")


def _segments(data: bytes, position: int) -> Iterator[tuple[int, bytes]]:
    """Marker segments up to and including the start of the first scan or tile part."""
    while True:
        marker, position = _next_marker(data, position)
        if marker in _STANDALONE:
            continue
        (length,) = struct.unpack_from(">H", data, position)
        yield marker, data[position + 2 : position + length]
        if marker in (0xDA, 0x90) or length < 2:
            return
        position += length


def _next_marker(data: bytes, position: int) -> tuple[int, int]:
    if data[position] != 0xFF:
        raise IndexError(position)
    while data[position] == 0xFF:
        position += 1
    return data[position], position + 1


def _read_jpeg(data: bytes) -> ImageHeader:
    frame: bytes | None = None
    kind, scan, adobe = 0, b"", -1
    for marker, payload in _segments(data, 2):
        if marker in (0xC0, 0xC1, 0xC2, 0xC3, 0xF7):
            kind, frame = marker, payload
        elif marker == 0xEE and payload.startswith(b"Adobe") and len(payload) > 11:
            adobe = payload[11]
        elif marker == 0xDA:
            scan = payload
    if frame is None:
        raise IndexError
    bits, rows, columns, samples = struct.unpack_from(">BHHB", frame)
    # Ns, then two octets for each component, then predictor or NEAR.
    parameter = scan[1 + 2 * scan[0]]
    syntax = _jpeg_syntax(kind, parameter)
    colour = "MONOCHROME2" if samples == 1 else _jpeg_colour(kind, adobe, frame)
    return _checked(ImageHeader(rows, columns, samples, colour, bits, False, syntax))


def _jpeg_syntax(kind: int, parameter: int) -> str:
    if kind == 0xF7:
        return _JPEG + ("80" if parameter == 0 else "81")
    if kind == 0xC3:
        return _JPEG + ("70" if parameter == 1 else "57")
    if kind in (0xC0, 0xC1):
        return _JPEG + ("50" if kind == 0xC0 else "51")
    message = "Progressive JPEG has no transfer syntax in DICOM."
    raise RefusedInstanceError(TRANSFER_SYNTAX_NOT_SUPPORTED, message)


def _jpeg_colour(kind: int, adobe: int, frame: bytes) -> str:
    """Photometric interpretation of three components; `frame` has id, sampling and table of each from octet 6 on."""
    if kind in (0xC3, 0xF7) or adobe == 0 or frame[6:15:3] == b"RGB":
        return "RGB"
    return "YBR_FULL_422" if frame[7] != frame[10] else "YBR_FULL"


def _checked(header: ImageHeader) -> ImageHeader:
    if not (0 < header.rows < 1 << 16 and 0 < header.columns < 1 << 16 and header.samples_per_pixel in (1, 3)):
        raise RefusedInstanceError(CANNOT_UNDERSTAND, "The size or the components of the image are beyond DICOM.")
    return header


def _code_stream_offset(data: bytes) -> int:
    position = 0
    while True:
        length, kind = struct.unpack_from(">I4s", data, position)
        head = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, position + 8)
            head = 16
        if kind == b"jp2c":
            return position + head
        if length < head:
            raise IndexError(position)
        position += length


def _read_jpeg_2000(data: bytes, offset: int) -> ImageHeader:
    size = coding = b""
    high_throughput = tile_lengths = False
    for marker, payload in _segments(data, offset + 2):
        if marker == 0x51:
            size = payload
        elif marker == 0x52:
            coding = payload
        elif marker == 0x50:
            high_throughput = bool(struct.unpack_from(">I", payload)[0] & 1 << 17)  # Part 15 in Pcap
        elif marker == 0x55:
            tile_lengths = True
    right, bottom, left, top = struct.unpack_from(">IIII", size, 2)
    (samples,) = struct.unpack_from(">H", size, 34)
    precision = size[36]
    order, transformed, reversible = coding[1], coding[4] == 1, coding[9] == 1
    colour = ("YBR_RCT" if reversible else "YBR_ICT") if transformed else "RGB"
    header = ImageHeader(
        rows=bottom - top,
        columns=right - left,
        samples_per_pixel=samples,
        photometric_interpretation="MONOCHROME2" if samples == 1 else colour,
        bits_stored=(precision & 0x7F) + 1,
        is_signed=bool(precision & 0x80),
        transfer_syntax_uid=_jpeg_2000_syntax(high_throughput, reversible, indexed=order == 2 and tile_lengths),
        offset=offset,
    )
    return _checked(header)


def _jpeg_2000_syntax(high_throughput: bool, reversible: bool, *, indexed: bool) -> str:
    if not high_throughput:
        return _JPEG + ("90" if reversible else "91")
    if not reversible:
        return _JPEG + "203"
    return _JPEG + ("202" if indexed else "201")
