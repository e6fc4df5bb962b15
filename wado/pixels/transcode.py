"""Which transfer syntax can become which, in one table, and the change itself (PS3.5 §8.2, PS3.18 §8.7.3).

Offers, conformance statement and tests are made from `TRANSCODINGS`: every syntax that is decoded can become every
syntax that is encoded, where the samples fit what the target may carry.
"""

from dataclasses import dataclass, replace

import imagecodecs
import numpy as np

from archive.errors import UnprocessableError
from archive.instances import PixelFacts
from wado.pixels.codestream import MAXIMUM_FRAME_BYTES, check_facts
from wado.pixels.decode import Samples, container_type, decode, ybr_to_rgb
from wado.pixels.encode import encode_frame
from wado.pixels.syntaxes import (
    DEFLATED,
    DEFLATED_FRAMES,
    EXPLICIT_BE,
    EXPLICIT_LE,
    HTJ2K,
    HTJ2K_LOSSLESS,
    HTJ2K_LOSSLESS_RPCL,
    IMPLICIT_LE,
    JPEG_2000,
    JPEG_2000_LOSSLESS,
    JPEG_2000_MC,
    JPEG_2000_MC_LOSSLESS,
    JPEG_BASELINE,
    JPEG_DCT,
    JPEG_EXTENDED,
    JPEG_LOSSLESS,
    JPEG_LOSSLESS_SV1,
    JPEG_LS,
    JPEG_LS_NEAR,
    JPEG_XL,
    JPEG_XL_JPEG,
    JPEG_XL_LOSSLESS,
    NATIVE,
    RLE,
)

GRAY = frozenset(("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"))
COLOUR = frozenset(("RGB", "YBR_FULL"))


@dataclass(frozen=True, slots=True)
class Target:
    """What samples an encoder may be given so that they come back as they were (or nearly, where `lossy`).

    `bits_stored` holds the least and the most; `photometric` what is left of it once the samples are native.
    """

    bits_allocated: frozenset[int]
    bits_stored: tuple[int, int]
    photometric: frozenset[str]
    signed: bool = True
    lossy: bool = False
    whole_container: bool = False
    """Whether bits outside Bits Stored and another High Bit survive."""

    def takes(self, facts: PixelFacts) -> bool:
        least, most = self.bits_stored
        return (
            facts.pixel_keyword == "PixelData"
            and facts.bits_allocated in self.bits_allocated
            and least <= facts.bits_stored <= most
            and facts.photometric_interpretation in self.photometric
            and facts.samples_per_pixel == (3 if facts.photometric_interpretation in COLOUR else 1)
            and (self.signed or not facts.pixel_representation)
            and (self.whole_container or facts.high_bit == facts.bits_stored - 1)
        )


@dataclass(frozen=True, slots=True)
class Transcoding:
    """One row: a transfer syntax that is decoded, and what it is encoded from, if it is.

    `lossless`: no frame in this syntax is an approximation because of the syntax.
    """

    transfer_syntax_uid: str
    name: str
    lossless: bool
    target: Target | None = None
    method: str = ""
    """Lossy Image Compression Method (PS3.3 C.7.6.1.1.5.1) of what is encoded here."""


_BYTES_AND_WORDS = frozenset((8, 16))
_TO_16 = Target(_BYTES_AND_WORDS, (1, 16), GRAY | COLOUR)

TRANSCODINGS: tuple[Transcoding, ...] = (
    Transcoding(EXPLICIT_LE, "Explicit VR Little Endian", True),
    Transcoding(IMPLICIT_LE, "Implicit VR Little Endian", True),
    Transcoding(DEFLATED, "Deflated Explicit VR Little Endian", True),
    Transcoding(EXPLICIT_BE, "Explicit VR Big Endian", True),
    Transcoding(HTJ2K_LOSSLESS_RPCL, "HTJ2K Lossless RPCL", True, _TO_16),
    Transcoding(HTJ2K_LOSSLESS, "HTJ2K Lossless", True, _TO_16),
    Transcoding(JPEG_LS, "JPEG-LS Lossless", True, _TO_16),
    Transcoding(
        RLE, "RLE Lossless", True, Target(frozenset((8, 16, 32)), (1, 32), GRAY | COLOUR, whole_container=True)
    ),
    Transcoding(JPEG_2000_LOSSLESS, "JPEG 2000 Lossless", True, _TO_16),
    Transcoding(JPEG_LOSSLESS_SV1, "JPEG Lossless, first-order prediction", True, _TO_16),
    Transcoding(
        JPEG_XL_LOSSLESS,
        "JPEG XL Lossless",
        True,
        Target(_BYTES_AND_WORDS, (1, 16), GRAY | frozenset(("RGB",)), signed=False),
    ),
    Transcoding(
        JPEG_BASELINE,
        "JPEG Baseline",
        False,
        Target(
            frozenset((8,)),
            (8, 8),
            frozenset(("MONOCHROME1", "MONOCHROME2", "RGB")),
            signed=False,
            lossy=True,
        ),
        "ISO_10918_1",
    ),
    Transcoding(DEFLATED_FRAMES, "Deflated Image Frame", True),
    Transcoding(JPEG_EXTENDED, "JPEG Extended, 12 bits", False),
    Transcoding(JPEG_LOSSLESS, "JPEG Lossless", True),
    Transcoding(JPEG_LS_NEAR, "JPEG-LS Near-lossless", False),
    Transcoding(JPEG_2000, "JPEG 2000", False),
    Transcoding(JPEG_2000_MC_LOSSLESS, "JPEG 2000 Multi-component Lossless", True),
    Transcoding(JPEG_2000_MC, "JPEG 2000 Multi-component", False),
    Transcoding(HTJ2K, "HTJ2K", False),
    Transcoding(JPEG_XL_JPEG, "JPEG XL JPEG Recompression", False),
    Transcoding(JPEG_XL, "JPEG XL", False),
)
"""Targets stand in the order in which they are offered: what decodes quickest and is smallest first, lossy last."""

RECOMPRESSIONS: frozenset[tuple[str, str]] = frozenset(((JPEG_BASELINE, JPEG_XL_JPEG), (JPEG_XL_JPEG, JPEG_BASELINE)))
"""Pairs where the coefficients are coded anew, bit for bit, without decoding a sample (PS3.5 §8.2.18)."""

_ROWS = {row.transfer_syntax_uid: row for row in TRANSCODINGS}


def targets_of(transfer_syntax_uid: str, facts: PixelFacts) -> tuple[str, ...]:
    """Syntaxes that a frame in this syntax can be given in, its own left out; the preferred one first.

    Empty where the syntax is not decoded (video, for one) or the Image Pixel module describes no image.
    """
    if transfer_syntax_uid not in _ROWS:
        return ()
    try:
        check_facts(facts)
    except UnprocessableError:
        return ()
    plain = facts_after(facts, transfer_syntax_uid)
    found = [EXPLICIT_LE] if transfer_syntax_uid != EXPLICIT_LE else []
    for row in TRANSCODINGS:
        fits = row.target is not None and row.target.takes(_upsampled(plain))
        if row.transfer_syntax_uid != transfer_syntax_uid and (
            fits or (transfer_syntax_uid, row.transfer_syntax_uid) in RECOMPRESSIONS
        ):
            if (row.transfer_syntax_uid, transfer_syntax_uid) in RECOMPRESSIONS:
                found.insert(1, row.transfer_syntax_uid)
            else:
                found.append(row.transfer_syntax_uid)
    return tuple(found)


def transcoding_of(transfer_syntax_uid: str) -> Transcoding | None:
    """The row of a syntax; None where it is not decoded."""
    return _ROWS.get(transfer_syntax_uid)


def loses(source: str, target: str) -> bool:
    """Whether a frame of this syntax becomes an approximation of what it was, once it is given in the target."""
    return is_lossy(target) and (source, target) not in RECOMPRESSIONS


def is_lossy(transfer_syntax_uid: str) -> bool:
    """Whether a frame encoded in this syntax here is an approximation."""
    row = _ROWS.get(transfer_syntax_uid)
    return row is not None and row.target is not None and row.target.lossy


def facts_after(facts: PixelFacts, transfer_syntax_uid: str, target: str = EXPLICIT_LE) -> PixelFacts:
    """The Image Pixel module once frames of this syntax are given in the target's, native by default.

    JPEG's YBR is given as RGB, as pydicom's decoded array is; lossless syntaxes keep their colour space. Samples of
    a pixel stand together. Floating point and 1-bit images keep everything; so do coefficients that are coded anew.
    """
    if (transfer_syntax_uid, target) in RECOMPRESSIONS:
        return replace(facts, planar_configuration=0)
    changed = facts
    stated = facts.photometric_interpretation
    if transfer_syntax_uid not in NATIVE and facts.samples_per_pixel > 1:
        decoded_rgb = stated in ("YBR_ICT", "YBR_RCT") or transfer_syntax_uid in (JPEG_XL_LOSSLESS, JPEG_XL)
        if decoded_rgb or (transfer_syntax_uid in JPEG_DCT | {JPEG_XL_JPEG} and stated.startswith("YBR_FULL")):
            stated = "RGB"
        elif stated == "YBR_FULL_422":
            stated = "YBR_FULL"
        changed = replace(facts, photometric_interpretation=stated, planar_configuration=0)
    return changed if target in NATIVE else _encoded_facts(_upsampled(changed), target)


def _upsampled(facts: PixelFacts) -> PixelFacts:
    """What native YBR_FULL_422 is once every pixel has its own chrominance."""
    if facts.photometric_interpretation != "YBR_FULL_422" or facts.samples_per_pixel != 3:
        return facts
    return replace(facts, photometric_interpretation="YBR_FULL", planar_configuration=0)


def _encoded_facts(facts: PixelFacts, target: str) -> PixelFacts:
    """PS3.5 §8.2: what each syntax calls the colour space that its encoder was given."""
    if facts.samples_per_pixel != 3:
        return facts
    stated = facts.photometric_interpretation
    if stated == "RGB":
        if target in (JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS, HTJ2K_LOSSLESS_RPCL):
            stated = "YBR_RCT"
        elif target in (JPEG_BASELINE, JPEG_XL_JPEG):
            stated = "YBR_FULL_422"
    return replace(facts, photometric_interpretation=stated, planar_configuration=1 if target == RLE else 0)


def native_samples(frame: bytes, facts: PixelFacts, transfer_syntax_uid: str, bit_offset: int = 0) -> Samples:
    """The samples of a compressed frame as `facts_after` describes them."""
    decoded = decode(frame, facts, transfer_syntax_uid, bit_offset)
    jpeg = transfer_syntax_uid in JPEG_DCT or transfer_syntax_uid == JPEG_XL_JPEG
    if jpeg and decoded.photometric_interpretation == "YBR_FULL":
        return ybr_to_rgb(decoded.samples)
    return decoded.samples


def native_frame(frame: bytes, facts: PixelFacts, transfer_syntax_uid: str, bit_offset: int = 0) -> bytes:
    """The frame as native little endian bytes, as they stand in the pixel data of an Explicit VR Little Endian file.

    Native frames keep every bit, also those outside Bits Stored; 1-bit ones are the octets that cover the frame.
    Compressed frames equal `pydicom.Dataset.pixel_array` sample for sample, except that the lossless syntaxes keep
    YBR_FULL, which pydicom turns to RGB.

    Raises
    ------
    UnprocessableError
        The frame cannot be decoded.
    """
    if transfer_syntax_uid in NATIVE:
        return _native_bytes(frame, facts, transfer_syntax_uid)
    samples = native_samples(frame, facts, transfer_syntax_uid, bit_offset)
    if facts.bits_allocated == 1:
        return np.packbits(samples, bitorder="little").tobytes()
    return np.ascontiguousarray(samples).tobytes()


def _native_bytes(frame: bytes, facts: PixelFacts, transfer_syntax_uid: str) -> bytes:
    check_facts(facts)
    kind = container_type(facts)
    if transfer_syntax_uid != EXPLICIT_BE or kind.itemsize == 1:
        return frame
    if len(frame) % kind.itemsize:
        raise UnprocessableError("The frame is cut short.")
    return np.frombuffer(frame, kind).byteswap().tobytes()


def transcode_frame(frame: bytes, facts: PixelFacts, source: str, target: str, bit_offset: int = 0) -> bytes:
    """The frame in another transfer syntax; `target` is one of `targets_of`.

    Raises
    ------
    UnprocessableError
        The pair is not in the table for these samples, or the frame cannot be decoded.
    """
    if target == EXPLICIT_LE:
        return native_frame(frame, facts, source, bit_offset)
    if target not in targets_of(source, facts):
        raise UnprocessableError("Frames of this instance cannot be given in this transfer syntax.")
    if (source, target) in RECOMPRESSIONS:
        return _recompressed(frame, target)
    if source in NATIVE and target == RLE and facts.photometric_interpretation != "YBR_FULL_422":
        # as all bits: those outside Bits Stored are kept too
        whole = replace(facts, bits_stored=facts.bits_allocated, high_bit=facts.bits_allocated - 1)
        return encode_frame(decode(frame, whole, source).samples, facts, target)
    plain = _upsampled(facts_after(facts, source))
    return encode_frame(native_samples(frame, facts, source, bit_offset), plain, target)


def _recompressed(frame: bytes, target: str) -> bytes:
    try:
        if target == JPEG_XL_JPEG:
            data = bytes(imagecodecs.jpegxl_encode_jpeg(frame, usecontainer=True, numthreads=1))
        else:
            data = bytes(imagecodecs.jpegxl_decode_jpeg(frame, numthreads=1))
    except (RuntimeError, ValueError, MemoryError):
        raise UnprocessableError("The frame's JPEG cannot be coded anew.") from None
    if len(data) > MAXIMUM_FRAME_BYTES:
        raise UnprocessableError("The frame is larger than can be given.")
    return data + b"\0" if len(data) % 2 else data
