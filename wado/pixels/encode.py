"""Samples → a compressed frame (PS3.5 §8.2, Annex A). Lossless, but for JPEG baseline.

Which samples a syntax can carry is the table of `wado.pixels.transcode`; here they are taken to fit.
"""

import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

import imagecodecs
import jpeg_ls
import numpy as np
import simplejpeg
from rle.rle import encode_frame as encode_run_lengths

from archive.errors import UnprocessableError
from archive.instances import PixelFacts
from wado.pixels.decode import Samples
from wado.pixels.syntaxes import (
    DEFLATED_FRAMES,
    HTJ2K_LOSSLESS,
    HTJ2K_LOSSLESS_RPCL,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LOSSLESS_SV1,
    JPEG_LS,
    JPEG_XL_LOSSLESS,
    RLE,
)

Coded = bytes | bytearray

JPEG_QUALITY = 90
XL_EFFORT = 1
"""libjxl's least effort: nine times quicker than JPEG-LS at nearly its ratio."""
_SSIZ = 42
"""Where the first component's depth stands in a code stream that begins with SOC and SIZ (T.800 §A.5.1)."""
_SIGNED = 0x80


def encode_frame(array: Samples, facts: PixelFacts, transfer_syntax_uid: str) -> bytes:
    """Compress samples, (rows, columns) or (rows, columns, samples), of the type that the facts say.

    Odd results are padded with one zero byte, as an item of encapsulated pixel data must be (PS3.5 A.4).

    Raises
    ------
    UnprocessableError
        The syntax is none that is encoded, or its codec refuses these samples.
    """
    encoder = _ENCODERS.get(transfer_syntax_uid)
    if encoder is None:
        raise UnprocessableError("Frames are not encoded in this transfer syntax.")
    try:
        frame = bytes(encoder(array, facts))
    except (RuntimeError, ValueError, TypeError, MemoryError):
        raise UnprocessableError("The frame cannot be encoded in this transfer syntax.") from None
    return frame + b"\0" if len(frame) % 2 else frame


def _unsigned(array: Samples, facts: PixelFacts) -> Samples:
    """The stored bits as unsigned numbers in the smallest container: what coders without a sign are given."""
    bits = array.view(np.dtype(f"u{array.dtype.itemsize}"))
    bits = bits & bits.dtype.type((1 << facts.bits_stored) - 1)
    return np.ascontiguousarray(bits.astype("u1" if facts.bits_stored <= 8 else "u2", copy=False))


def _run_lengths(array: Samples, facts: PixelFacts) -> Coded:
    data = np.ascontiguousarray(array).tobytes()
    coded: bytes = encode_run_lengths(
        data, facts.rows, facts.columns, facts.samples_per_pixel, 8 * array.dtype.itemsize, "<"
    )
    return coded


def _deflated(array: Samples, facts: PixelFacts) -> Coded:
    data = np.packbits(array, bitorder="little") if facts.bits_allocated == 1 else np.ascontiguousarray(array)
    compressor = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(data.tobytes()) + compressor.flush()


def _jpeg_baseline(array: Samples, facts: PixelFacts) -> Coded:
    pixels = np.ascontiguousarray(array)
    if facts.samples_per_pixel == 1:
        pixels, space, chroma = pixels[:, :, np.newaxis], "GRAY", "GRAY"
    else:
        space, chroma = "RGB", "422"
    coded: bytes = simplejpeg.encode_jpeg(pixels, JPEG_QUALITY, space, chroma)
    return coded


def _jpeg_predicted(array: Samples, facts: PixelFacts) -> Coded:
    bits = _unsigned(array, facts)
    if facts.samples_per_pixel == 1 and facts.bits_stored >= 8:
        return imagecodecs.ljpeg_encode(bits, bitspersample=facts.bits_stored)
    # slower, but takes colour and writes less than 8 bits as such
    depth = max(2, facts.bits_stored)
    return imagecodecs.jpeg8_encode(bits, lossless=True, predictor=1, bitspersample=depth)


def _jpeg_ls(array: Samples, facts: PixelFacts) -> Coded:
    bits = _unsigned(array, facts)
    count = facts.samples_per_pixel
    depth, together = max(2, facts.bits_stored), 0 if count == 1 else 2
    try:
        coded: bytearray = jpeg_ls.encode_buffer(
            bits.tobytes(), facts.rows, facts.columns, count, depth, interleave_mode=together
        )
        return coded
    except RuntimeError:
        # pyjpegls 1.5 gives the encoder a buffer as large as the samples: too small for a few pixels, or for noise.
        # imagecodecs makes it large enough, but writes the container's depth: the sign must then reach its top.
        whole = array.view(np.dtype(f"u{array.dtype.itemsize}"))
        return imagecodecs.jpegls_encode(np.ascontiguousarray(whole))


def _jpeg_2000(array: Samples, facts: PixelFacts) -> Coded:
    colour = facts.samples_per_pixel == 3 and facts.photometric_interpretation == "RGB"
    shorter = min(facts.rows, facts.columns)
    if (
        facts.bits_stored <= 8
    ):  # the codec takes no smaller depth than the container's for bytes, and none of 8 for words
        array = array.astype(f"{array.dtype.kind}1", copy=False)
    return imagecodecs.jpeg2k_encode(
        np.ascontiguousarray(array),
        codecformat="J2K",
        reversible=True,
        mct=colour,
        bitspersample=facts.bits_stored,
        resolutions=min(6, shorter.bit_length()),
        numthreads=1,
    )


def _high_throughput(array: Samples, facts: PixelFacts) -> Coded:
    """HTJ2K Lossless RPCL (PS3.5 A.4.12), which is HTJ2K Lossless too: a client may stop at a lower resolution.

    OpenJPH writes the container's depth, 8 or 16, as precision; the dataset's Bits Stored is put in its place.
    A depth may be put in its place when the samples are centred as that depth says. So unsigned samples are given as
    signed ones, less half their range, which is the level shift that a decoder adds again (T.800 §G.1.2).
    """
    colour = facts.samples_per_pixel == 3 and facts.photometric_interpretation == "RGB"
    planes = array if colour or array.ndim == 2 else array.transpose(2, 0, 1)
    depth = 8 * array.dtype.itemsize
    if facts.bits_stored == depth:
        return _htj2k(planes, colour)
    if not facts.pixel_representation:
        half = array.dtype.type(1 << (facts.bits_stored - 1))
        planes = (planes - half).view(np.dtype(f"i{array.dtype.itemsize}"))
    frame = bytearray(_htj2k(planes, colour))
    for component in range(facts.samples_per_pixel):
        position = _SSIZ + 3 * component
        if frame[position] != _SIGNED | (depth - 1):
            raise ValueError("the encoder's code stream begins in another way than SOC, SIZ")
        frame[position] = (facts.bits_stored - 1) | (_SIGNED if facts.pixel_representation else 0)
    return bytes(frame)


def _htj2k(planes: Samples, colour: bool) -> Coded:
    """By resolution, with the lengths of its parts."""
    return imagecodecs.htj2k_encode(
        np.ascontiguousarray(planes),
        reversible=True,
        rgb=colour,
        planar=planes.ndim == 3 and not colour,
        tlm=True,
        tilepart=imagecodecs.HTJ2K.TILEPART.RESOLUTIONS,
    )


def _xl(array: Samples, facts: PixelFacts) -> Coded:
    return imagecodecs.jpegxl_encode(
        _unsigned(array, facts),
        lossless=True,
        effort=XL_EFFORT,
        bitspersample=facts.bits_stored,
        usecontainer=False,
        numthreads=1,
    )


_ENCODERS: Mapping[str, Callable[[Samples, PixelFacts], Coded]] = MappingProxyType(
    {
        RLE: _run_lengths,
        DEFLATED_FRAMES: _deflated,
        JPEG_BASELINE: _jpeg_baseline,
        JPEG_LOSSLESS_SV1: _jpeg_predicted,
        JPEG_LS: _jpeg_ls,
        JPEG_2000_LOSSLESS: _jpeg_2000,
        HTJ2K_LOSSLESS: _high_throughput,
        HTJ2K_LOSSLESS_RPCL: _high_throughput,
        JPEG_XL_LOSSLESS: _xl,
    }
)
ENCODABLE = frozenset(_ENCODERS)
"""Transfer syntaxes that `encode_frame` makes."""
