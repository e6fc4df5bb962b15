"""A frame's bytes → its samples, for every transfer syntax that is decoded (PS3.5 §8, Annex A).

Runs in a worker process: a codec may crash. Before any codec the code stream's header is held to the dataset.
"""

import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import imagecodecs
import numpy as np
import openjpeg
from numpy.typing import NDArray

from archive.errors import UnprocessableError
from archive.instances import PixelFacts
from wado.pixels.codestream import CodeStream, check_frame
from wado.pixels.syntaxes import (
    DEFLATED_FRAMES,
    EXPLICIT_BE,
    HIGH_THROUGHPUT,
    JPEG_DCT,
    JPEG_LS_BOTH,
    JPEG_PREDICTED,
    JPEG_XL_JPEG,
    NATIVE,
    RLE,
    WAVELET,
    XL,
)

Samples = NDArray[Any]

_CODEC_ERRORS = (RuntimeError, ValueError, TypeError, OverflowError, MemoryError, zlib.error)
MONOCHROME = frozenset(("MONOCHROME1", "MONOCHROME2"))


@dataclass(frozen=True, slots=True)
class Decoded:
    """Samples, (rows, columns) or (rows, columns, samples), and the colour space they are really in."""

    samples: Samples
    photometric_interpretation: str


@dataclass(frozen=True, slots=True)
class CodedFrame:
    """What a decoder is given. `header` is None where the syntax has none."""

    data: bytes
    facts: PixelFacts
    header: CodeStream | None
    transfer_syntax_uid: str
    bit_offset: int


def decode_frame(frame: bytes, facts: PixelFacts, transfer_syntax_uid: str, bit_offset: int = 0) -> Samples:
    """The frame's samples in its stored colour space; bits that are not stored are taken away.

    Parameters
    ----------
    frame
        The fragments of the frame, joined; for native syntaxes the bytes as `source.read_frame` gives them.
        1-bit samples: the octets that cover the frame.
    bit_offset
        Bits before the first sample in the first octet, for 1-bit samples.

    Returns
    -------
    (rows, columns) or (rows, columns, samples), of the type that Bits Allocated and Pixel Representation say.

    Raises
    ------
    UnprocessableError
        The code stream is not what the dataset says, is over the cap, or cannot be decoded.
    """
    return decode(frame, facts, transfer_syntax_uid, bit_offset).samples


def decode(frame: bytes, facts: PixelFacts, transfer_syntax_uid: str, bit_offset: int = 0) -> Decoded:
    """`decode_frame`, together with the colour space that the code stream turned out to have."""
    header = check_frame(frame, facts, transfer_syntax_uid)
    work = CodedFrame(frame, facts, header, transfer_syntax_uid, bit_offset)
    try:
        samples = _decoder_of(transfer_syntax_uid)(work)
    except UnprocessableError:
        raise
    except _CODEC_ERRORS:
        raise UnprocessableError("The frame cannot be decoded: its data is damaged.") from None
    rows, columns, count = facts.rows, facts.columns, facts.samples_per_pixel
    expected = (rows, columns) if count == 1 else (rows, columns, count)
    if samples.shape != expected:
        raise UnprocessableError("The frame was decoded to other rows, columns or samples than the instance says.")
    return Decoded(as_stored(samples, work), photometric_of(facts, header, transfer_syntax_uid))


def _decoder_of(transfer_syntax_uid: str) -> Callable[[CodedFrame], Samples]:
    if transfer_syntax_uid in NATIVE:
        return _native
    for syntaxes, decoder in _DECODERS:
        if transfer_syntax_uid in syntaxes:
            return decoder
    raise UnprocessableError("Pixel data of this transfer syntax cannot be decoded.")


def container_type(facts: PixelFacts) -> np.dtype[Any]:
    """The type of one sample, in the byte order of this machine."""
    if facts.pixel_keyword != "PixelData":
        return np.dtype("f4" if facts.pixel_keyword == "FloatPixelData" else "f8")
    if facts.bits_allocated == 1:
        return np.dtype("u1")
    return np.dtype(f"{'i' if facts.pixel_representation else 'u'}{facts.bits_allocated // 8}")


def _native(work: CodedFrame) -> Samples:
    facts = work.facts
    if facts.bits_allocated == 1:
        return _unpacked(work.data, facts, work.bit_offset)
    kind = container_type(facts)
    if work.transfer_syntax_uid == EXPLICIT_BE:
        kind = kind.newbyteorder(">")
    if facts.photometric_interpretation == "YBR_FULL_422" and facts.samples_per_pixel == 3:
        return _upsampled(np.frombuffer(work.data, kind), facts)
    count = facts.rows * facts.columns * facts.samples_per_pixel
    samples = np.frombuffer(work.data, kind, count)
    if facts.samples_per_pixel == 1:
        shaped: Samples = samples.reshape(facts.rows, facts.columns)
    elif facts.planar_configuration == 0:
        shaped = samples.reshape(facts.rows, facts.columns, facts.samples_per_pixel)
    else:
        shaped = _from_planes(samples, facts)
    return shaped.astype(kind.newbyteorder("="), copy=False)


def _unpacked(data: bytes, facts: PixelFacts, bit_offset: int) -> Samples:
    """1-bit samples, the first in the lowest bit of the first octet (PS3.5 §8.1.1, Annex D)."""
    count = facts.rows * facts.columns * facts.samples_per_pixel
    bits = np.unpackbits(np.frombuffer(data, "u1"), bitorder="little", count=bit_offset + count)[bit_offset:]
    if bits.size != count or len(data) * 8 < bit_offset + count:
        raise ValueError
    if facts.samples_per_pixel == 1:
        return bits.reshape(facts.rows, facts.columns)
    return bits.reshape(facts.rows, facts.columns, facts.samples_per_pixel)


def _upsampled(samples: Samples, facts: PixelFacts) -> Samples:
    """Native YBR_FULL_422 holds Y1 Y2 B R for two pixels (PS3.3 C.7.6.3.1.2)."""
    pairs = samples[: facts.rows * facts.columns * 2].reshape(-1, 4)
    full = np.empty((pairs.shape[0], 2, 3), samples.dtype)
    full[:, :, 0] = pairs[:, :2]
    full[:, :, 1] = pairs[:, 2:3]
    full[:, :, 2] = pairs[:, 3:4]
    return full.reshape(facts.rows, facts.columns, 3)


def _run_lengths(work: CodedFrame) -> Samples:
    """PS3.5 Annex G. 1-bit samples are coded as octets of 0 and 1."""
    facts = work.facts
    size = max(1, facts.bits_allocated // 8)
    segments = facts.samples_per_pixel * size
    if work.data[:4] != segments.to_bytes(4, "little"):
        raise UnprocessableError("The number of RLE segments is not what the instance's samples need.")
    expected = facts.rows * facts.columns * segments
    octets = np.zeros(expected, "u1")
    try:
        filled = np.asarray(imagecodecs.dicomrle_decode(work.data, f"<u{size}", out=memoryview(octets.data))).size
    except RuntimeError:
        # segments with more in them than the frame has: real files pad them so
        return _run_lengths_by_segment(work, size)
    if filled != expected:
        raise ValueError(filled)
    return _from_planes(octets.view(container_type(facts)), facts)


def _run_lengths_by_segment(work: CodedFrame, size: int) -> Samples:
    facts = work.facts
    pixels = facts.rows * facts.columns
    octets = np.zeros((facts.samples_per_pixel, pixels, size), "u1")
    starts = [*np.frombuffer(work.data, "<u4", facts.samples_per_pixel * size, 4).tolist(), len(work.data)]
    for segment in range(facts.samples_per_pixel * size):
        runs = work.data[starts[segment] : starts[segment + 1]]
        plane = np.frombuffer(imagecodecs.packbits_decode(runs), "u1", pixels)
        octets[segment // size, :, size - 1 - segment % size] = plane  # the most significant comes first
    return _from_planes(octets.reshape(-1).view(container_type(facts)), facts)


def _from_planes(samples: Samples, facts: PixelFacts) -> Samples:
    if facts.samples_per_pixel == 1:
        return samples.reshape(facts.rows, facts.columns)
    return samples.reshape(facts.samples_per_pixel, facts.rows, facts.columns).transpose(1, 2, 0)


def _deflated(work: CodedFrame) -> Samples:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    data = inflater.decompress(work.data, work.facts.frame_bytes + 1)
    plain = replace(work, data=data, bit_offset=0)
    return _native(plain)


def _jpeg(work: CodedFrame) -> Samples:
    """Components as they are coded: no colour transform, except where Adobe's marker and the dataset say RGB."""
    header = work.header
    assert header is not None
    space = None
    if header.components == 3 and _taken_for_ycbcr(header):
        to_rgb = header.adobe_transform == 1 and work.facts.photometric_interpretation == "RGB"
        space = "RGB" if to_rgb else "YCBCR"
    return np.asarray(imagecodecs.jpeg8_decode(work.data, outcolorspace=space))


def _taken_for_ycbcr(header: CodeStream) -> bool:
    """What libjpeg takes three components for (its jdapimin.c; there is no field that says it)."""
    if header.jfif:
        return True
    if header.adobe_transform is not None:
        return header.adobe_transform != 0
    return header.component_ids != (82, 71, 66)


def _predicted(work: CodedFrame) -> Samples:
    return np.asarray(imagecodecs.jpeg8_decode(work.data))


def _jpeg_ls(work: CodedFrame) -> Samples:
    return pixels_together(np.asarray(imagecodecs.jpegls_decode(work.data)), work.facts)


def _wavelet(work: CodedFrame) -> Samples:
    try:
        samples = np.asarray(imagecodecs.jpeg2k_decode(work.data, numthreads=1))
    except (RuntimeError, ValueError):
        # pylibjpeg's OpenJPEG binding takes subsampled components that imagecodecs refuses
        samples = np.asarray(openjpeg.decode(work.data))
    return pixels_together(samples, work.facts)


def _high_throughput(work: CodedFrame) -> Samples:
    return pixels_together(watched(lambda: imagecodecs.htj2k_decode(work.data)), work.facts)


def watched(decoder: Callable[[], Any]) -> Samples:
    """Run a decoder of imagecodecs' HTJ2K, and raise ValueError where it only reports that it failed.

    imagecodecs 2026.3 prints what OpenJPH raises while it gives out the lines, and returns what memory held. So what
    is printed is watched for; a worker decodes one frame at a time, so it is this frame's.
    """
    reported: list[object] = []
    reporter, sys.unraisablehook = sys.unraisablehook, reported.append
    try:
        samples = np.asarray(decoder())
    finally:
        sys.unraisablehook = reporter
    if reported:
        raise ValueError(len(reported))
    return samples


def _xl(work: CodedFrame) -> Samples:
    if work.transfer_syntax_uid == JPEG_XL_JPEG:
        data = imagecodecs.jpegxl_decode_jpeg(work.data, numthreads=1)
        return np.asarray(imagecodecs.jpeg8_decode(data))
    return np.asarray(imagecodecs.jpegxl_decode(work.data, numthreads=1))


def pixels_together(samples: Samples, facts: PixelFacts) -> Samples:
    """(rows, columns, samples), also where the decoder gives one plane after another, or drops an axis of length 1."""
    rows, columns, count = facts.rows, facts.columns, facts.samples_per_pixel
    if count > 1 and samples.shape == (count, rows, columns) and samples.shape != (rows, columns, count):
        return samples.transpose(1, 2, 0)
    if samples.size == rows * columns * count and samples.ndim < 2 + (count > 1):
        return samples.reshape((rows, columns) if count == 1 else (rows, columns, count))
    return samples


_DECODERS: tuple[tuple[frozenset[str], Callable[[CodedFrame], Samples]], ...] = (
    (frozenset((RLE,)), _run_lengths),
    (frozenset((DEFLATED_FRAMES,)), _deflated),
    (JPEG_DCT, _jpeg),
    (JPEG_PREDICTED, _predicted),
    (JPEG_LS_BOTH, _jpeg_ls),
    (WAVELET, _wavelet),
    (HIGH_THROUGHPUT, _high_throughput),
    (XL, _xl),
)
DECODABLE = NATIVE.union(*(syntaxes for syntaxes, _ in _DECODERS))
"""Transfer syntaxes that `decode_frame` takes."""


def as_stored(samples: Samples, work: CodedFrame) -> Samples:
    """The samples in the container of the dataset, with the sign it says (PS3.5 §8.1.1, §8.2.1, §8.2.4).

    JPEG and JPEG-LS have no sign, and JPEG 2000's may differ from the dataset's: the bits are read again as the
    dataset says, from the code stream's own precision.
    """
    facts = work.facts
    kind = container_type(facts)
    if facts.bits_allocated == 1 or kind.kind == "f":
        return samples
    if samples.dtype.kind in "ui":
        samples = samples.view(np.dtype(f"{kind.kind}{samples.dtype.itemsize}"))
    samples = samples.astype(kind, copy=False)
    unused = _unused_bits(work)
    if unused and facts.high_bit == facts.bits_stored - 1:
        samples = np.left_shift(samples, unused)
        np.right_shift(samples, unused, out=samples)
    return samples


def _unused_bits(work: CodedFrame) -> int:
    facts, header = work.facts, work.header
    precision = header.bits if header is not None and header.bits else facts.bits_stored
    if work.transfer_syntax_uid in WAVELET or work.transfer_syntax_uid in HIGH_THROUGHPUT:
        differs = header is not None and header.signed != bool(facts.pixel_representation)
        return facts.bits_allocated - precision if differs and facts.samples_per_pixel == 1 else 0
    if work.transfer_syntax_uid in JPEG_LS_BOTH:
        return facts.bits_allocated - precision if facts.pixel_representation else 0
    return facts.bits_allocated - facts.bits_stored


def photometric_of(facts: PixelFacts, header: CodeStream | None, transfer_syntax_uid: str) -> str:
    """The colour space of decoded samples: what the code stream says wins over what the dataset says."""
    stated = facts.photometric_interpretation
    if facts.samples_per_pixel != 3:
        return stated
    if transfer_syntax_uid in XL or stated in ("YBR_ICT", "YBR_RCT"):
        return "RGB"
    if header is not None and header.names_rgb:
        return "RGB"
    if header is not None and header.jfif and "YBR" not in stated:
        return "YBR_FULL"
    return "YBR_FULL" if stated == "YBR_FULL_422" else stated


def ybr_to_rgb(samples: Samples) -> Samples:
    """YBR_FULL → RGB, 8 bits (PS3.3 C.7.6.3.1.2), rounded just as pydicom 3 does.

    The arithmetic is single precision on purpose: some sums lie so near to a half that other orders round apart.
    """
    matrix = np.asarray(
        [[1.0, 1.0, 1.0], [0.0, -0.114 * 1.772 / 0.587, 1.772], [1.402, -0.299 * 1.402 / 0.587, 0.0]], np.float32
    )
    flat = samples.reshape(-1, 3)
    rgb = np.empty(flat.shape, samples.dtype)
    for start in range(0, flat.shape[0], _CHUNK_PIXELS):
        part = flat[start : start + _CHUNK_PIXELS].astype(np.float32)
        part -= np.asarray([0, 128, 128], np.float32)
        part = part @ matrix
        part += np.float32(0.5)
        np.floor(part, out=part)
        np.clip(part, 0, 255, out=part)
        rgb[start : start + _CHUNK_PIXELS] = part
    return rgb.reshape(samples.shape)


_CHUNK_PIXELS = 16384
"""Small enough that the single-precision copies stay in the processor's cache."""
