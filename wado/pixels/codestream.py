"""Read what a code stream says of itself and hold it to the dataset, before any decoder sees it.

JPEG and JPEG-LS (ITU-T T.81 §B.2, T.87 §C.2), JPEG 2000 and HTJ2K (T.800 §A.5), JPEG XL (ISO/IEC 18181-1 §D, §E).
"""

import struct
from dataclasses import dataclass

from archive.errors import UnprocessableError
from archive.instances import PixelFacts
from wado.pixels.syntaxes import DEFLATED_FRAMES, HIGH_THROUGHPUT, NATIVE, RLE, WAVELET, XL

MAXIMUM_FRAME_BYTES = 512 << 20
"""Largest native frame that is decoded, encoded or drawn: 16384 × 16384 samples of 16 bits."""
MAXIMUM_SAMPLES_PER_PIXEL = 4

_SOF = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7))
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD9)))
_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  "
_JXL_SIGNATURE = b"\x00\x00\x00\x0cJXL "
_SIZ = struct.Struct(">HIIIIIIIIH")
_MAXIMUM_BOXES = 64


@dataclass(frozen=True, slots=True)
class CodeStream:
    """The header of a code stream. `bits` and `components` are 0 where the header was not read so far."""

    rows: int
    columns: int
    components: int
    bits: int
    signed: bool = False
    component_ids: tuple[int, ...] = ()
    jfif: bool = False
    adobe_transform: int | None = None

    @property
    def names_rgb(self) -> bool:
        """Whether the component identifiers spell R, G, B."""
        return self.component_ids in ((82, 71, 66), (114, 103, 98))


def check_facts(facts: PixelFacts) -> None:
    """Raise UnprocessableError where the Image Pixel module describes no image, or one over the caps."""
    if not 1 <= facts.rows <= 65535 or not 1 <= facts.columns <= 65535:
        raise UnprocessableError("Rows and Columns of this instance are not between 1 and 65535.")
    if facts.bits_allocated not in (1, 8, 16, 32, 64):
        raise UnprocessableError(f"Bits Allocated {facts.bits_allocated} cannot be decoded.")
    if not 1 <= facts.bits_stored <= facts.bits_allocated:
        raise UnprocessableError("Bits Stored of this instance is not between 1 and Bits Allocated.")
    if not 1 <= facts.samples_per_pixel <= MAXIMUM_SAMPLES_PER_PIXEL:
        raise UnprocessableError(f"Samples per Pixel {facts.samples_per_pixel} cannot be decoded.")
    if facts.frame_bytes > MAXIMUM_FRAME_BYTES:
        raise UnprocessableError(f"A frame of this instance is larger than {MAXIMUM_FRAME_BYTES} bytes.")


def check_frame(frame: bytes, facts: PixelFacts, transfer_syntax_uid: str) -> CodeStream | None:
    """The frame's header, held to the facts; None where the syntax has none (native, RLE, deflated).

    Raises UnprocessableError on any difference, and on frames over `MAXIMUM_FRAME_BYTES`.
    """
    check_facts(facts)
    if transfer_syntax_uid in NATIVE or transfer_syntax_uid in (RLE, DEFLATED_FRAMES):
        return None
    header = read_header(frame, transfer_syntax_uid)
    if (header.rows, header.columns) != (facts.rows, facts.columns):
        raise UnprocessableError(
            f"The compressed frame is {header.columns} × {header.rows} pixels, "
            f"the instance says {facts.columns} × {facts.rows}."
        )
    if header.components and header.components != facts.samples_per_pixel:
        raise UnprocessableError(
            f"The compressed frame has {header.components} components, "
            f"the instance says {facts.samples_per_pixel} samples per pixel."
        )
    if header.bits > facts.bits_allocated:
        raise UnprocessableError(
            f"The compressed frame has {header.bits} bits a sample, the instance allocates {facts.bits_allocated}."
        )
    return header


def read_header(frame: bytes, transfer_syntax_uid: str) -> CodeStream:
    """The header of a compressed frame. Raises UnprocessableError when there is none."""
    try:
        if transfer_syntax_uid in WAVELET or transfer_syntax_uid in HIGH_THROUGHPUT:
            return _wavelet_header(frame)
        if transfer_syntax_uid in XL:
            return _xl_header(frame)
        return _jpeg_header(frame)
    except (struct.error, IndexError, ValueError):
        raise UnprocessableError("The compressed frame has no header that can be read.") from None


def _jpeg_header(frame: bytes) -> CodeStream:
    if frame[:2] != b"\xff\xd8":
        raise ValueError
    position, jfif, transform = 2, False, None
    while True:
        marker, position = _next_marker(frame, position)
        if marker in _STANDALONE:
            continue
        (length,) = struct.unpack_from(">H", frame, position)
        if length < 2:
            raise ValueError
        if marker in _SOF:
            return _start_of_frame(frame, position, jfif=jfif, transform=transform)
        if marker == 0xE0 and frame[position + 2 : position + 6] == b"JFIF":
            jfif = True
        elif marker == 0xEE and length >= 14 and frame[position + 2 : position + 7] == b"Adobe":
            transform = frame[position + 13]
        position += length


def _next_marker(frame: bytes, position: int) -> tuple[int, int]:
    """The next marker's second byte, and where it ends; fill bytes are passed over (T.81 §B.1.1.2)."""
    if frame[position] != 0xFF:
        raise ValueError
    while frame[position] == 0xFF:
        position += 1
    return frame[position], position + 1


def _start_of_frame(frame: bytes, position: int, *, jfif: bool, transform: int | None) -> CodeStream:
    bits, rows, columns, components = struct.unpack_from(">BHHB", frame, position + 2)
    ids = tuple(frame[position + 8 + 3 * index] for index in range(components))
    return CodeStream(rows, columns, components, bits, component_ids=ids, jfif=jfif, adobe_transform=transform)


def _wavelet_header(frame: bytes) -> CodeStream:
    position = _box_content(frame, b"jp2c") if frame.startswith(_JP2_SIGNATURE) else 0
    if frame[position : position + 4] != b"\xff\x4f\xff\x51":
        raise ValueError
    _, width, height, left, top, _, _, _, _, components = _SIZ.unpack_from(frame, position + 6)
    if not 1 <= components <= MAXIMUM_SAMPLES_PER_PIXEL:
        raise UnprocessableError("The compressed frame has more components than can be decoded.")
    depths = [frame[position + 42 + 3 * index] for index in range(components)]
    bits = max((depth & 0x7F) + 1 for depth in depths)
    return CodeStream(height - top, width - left, components, bits, signed=bool(depths[0] & 0x80))


def _box_content(frame: bytes, *names: bytes) -> int:
    """Where the content of the first box of one of the names begins."""
    position = 0
    for _ in range(_MAXIMUM_BOXES):
        length, name = struct.unpack_from(">I4s", frame, position)
        head = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", frame, position + 8)
            head = 16
        if name in names:
            return position + head + (4 if name == b"jxlp" else 0)
        if length < head:
            break
        position += length
    raise ValueError


_XL_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def _xl_header(frame: bytes) -> CodeStream:
    position = _box_content(frame, b"jxlc", b"jxlp") if frame.startswith(_JXL_SIGNATURE) else 0
    if frame[position : position + 2] != b"\xff\x0a":
        raise ValueError
    bits = _Bits(int.from_bytes(frame[position + 2 : position + 18], "little"))
    small = bits.take(1)
    rows = _xl_length(bits, small=small)
    ratio = bits.take(3)
    if ratio:
        numerator, denominator = _XL_RATIOS[ratio - 1]
        return CodeStream(rows, rows * numerator // denominator, 0, 0)
    return CodeStream(rows, _xl_length(bits, small=small), 0, 0)


def _xl_length(bits: "_Bits", *, small: int) -> int:
    if small:
        return (bits.take(5) + 1) * 8
    return bits.take((9, 13, 18, 30)[bits.take(2)]) + 1


class _Bits:
    """Bits of an integer from its lowest on."""

    def __init__(self, value: int) -> None:
        self._value = value

    def take(self, count: int) -> int:
        taken = self._value & ((1 << count) - 1)
        self._value >>= count
        return taken
