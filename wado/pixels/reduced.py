"""Frames at a half, a quarter … of their size, where the code stream can give that for less than the whole frame."""

from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
import simplejpeg
from PIL import Image

from archive.errors import UnprocessableError
from archive.instances import PixelFacts
from wado.pixels.codestream import CodeStream, check_frame
from wado.pixels.decode import CodedFrame, Decoded, Samples, as_stored, photometric_of, watched
from wado.pixels.syntaxes import HIGH_THROUGHPUT, JPEG_BASELINE, WAVELET

MOST_HALVINGS = 5


def decode_reduced(frame: bytes, facts: PixelFacts, transfer_syntax_uid: str, halvings: int) -> Decoded | None:
    """A frame at 1 / 2 ** halvings of its size each way, rounded up; None where that is no shortcut.

    For looking at only: between wavelet levels the samples are not those that a mean would give.
    Raises UnprocessableError where the code stream is not what the dataset says.
    """
    halvings = min(halvings, MOST_HALVINGS)
    if halvings < 1:
        return None
    header = check_frame(frame, facts, transfer_syntax_uid)
    if header is None or (header.signed != bool(facts.pixel_representation) and transfer_syntax_uid != JPEG_BASELINE):
        return None  # samples whose sign is put right only after decoding wrap around between wavelet levels
    try:
        if transfer_syntax_uid == JPEG_BASELINE:
            return _cosine(frame, facts, header, halvings)
        if transfer_syntax_uid in HIGH_THROUGHPUT:
            samples = watched(lambda: imagecodecs.htj2k_decode(frame, skipres=halvings))
        elif transfer_syntax_uid in WAVELET:
            samples = _wavelet(frame, header, halvings)
        else:
            return None
    except (RuntimeError, ValueError, TypeError, MemoryError, OSError, Image.DecompressionBombError):
        return None  # fewer levels than asked for, for one; the whole frame is then decoded, or refused
    samples = _channels_last(samples, facts)
    if samples.ndim != (2 if facts.samples_per_pixel == 1 else 3):
        return None
    work = CodedFrame(frame, facts, header, transfer_syntax_uid, 0)
    return Decoded(as_stored(samples, work), photometric_of(facts, header, transfer_syntax_uid))


def _channels_last(samples: Samples, facts: PixelFacts) -> Samples:
    count = facts.samples_per_pixel
    if count > 1 and samples.ndim == 3 and samples.shape[0] == count and samples.shape[2] != count:
        return samples.transpose(1, 2, 0)
    return samples


def rgb_from_jpeg(frame: bytes, facts: PixelFacts, header: CodeStream, halvings: int = 0) -> Samples | None:
    """Baseline colour as RGB by libjpeg itself; None where its guess of the colour space is not sure to be right.

    Within one of the exact conversion, in a tenth of its time.
    """
    sure = header.jfif or header.adobe_transform == 1 or facts.photometric_interpretation.startswith("YBR")
    if header.components != 3 or header.bits != 8 or not sure or header.names_rgb:
        return None
    return _scaled(frame, "RGB", facts, halvings)


def _cosine(frame: bytes, facts: PixelFacts, header: CodeStream, halvings: int) -> Decoded | None:
    if header.bits != 8 or facts.bits_allocated != 8 or facts.pixel_representation:
        return None
    if facts.samples_per_pixel == 1:
        return Decoded(_scaled(frame, "GRAY", facts, halvings)[:, :, 0], facts.photometric_interpretation)
    samples = rgb_from_jpeg(frame, facts, header, halvings)
    return None if samples is None else Decoded(samples, "RGB")


def _scaled(frame: bytes, space: str, facts: PixelFacts, halvings: int) -> Samples:
    """libjpeg scales by eighths while it decodes, at most to one eighth."""
    parts = max(1, 8 >> halvings)
    height, width = (-(-side * parts // 8) for side in (facts.rows, facts.columns))
    result: Samples = simplejpeg.decode_jpeg(
        frame, space, fastdct=False, fastupsample=False, min_height=height, min_width=width, min_factor=1
    )
    return result


def _wavelet(frame: bytes, header: CodeStream, halvings: int) -> Samples:
    """Pillow gives the low resolutions of JPEG 2000; it moves samples to 16 unsigned bits, which is undone here."""
    with Image.open(BytesIO(frame), formats=("JPEG2000",)) as image:
        if image.mode not in ("L", "I;16", "RGB") or (image.mode == "RGB" and header.bits != 8):
            raise UnprocessableError("Only the whole frame is decoded.")
        setattr(image, "reduce", halvings)  # noqa: B010  # JPEG 2000 images take a number where others have a method
        samples: Samples = np.asarray(image)
    container = 8 * samples.dtype.itemsize
    moved: np.ndarray[tuple[int, ...], np.dtype[Any]] = samples.astype(np.int32) >> (container - header.bits)
    if header.signed:
        moved -= 1 << (header.bits - 1)
    kind = f"{'i' if header.signed else 'u'}{1 if header.bits <= 8 else 2}"
    return moved.astype(kind)
