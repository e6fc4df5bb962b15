"""Pictures of 8 bits → files for people: JPEG, PNG, GIF, JPEG 2000; text burned in; colour profiles (PS3.18 §8.7.4)."""

import struct
import unicodedata
from collections.abc import Iterable
from io import BytesIO

import imagecodecs
import numpy as np
import simplejpeg
from PIL import Image, ImageCms, ImageDraw, ImageFont

from archive.errors import UnprocessableError
from wado.pixels.decode import Samples
from wado.pixels.parameters import GIF, JP2, JPEG, PNG, RenderParameters

PNG_COMPRESSION = 1
SUBSAMPLED_BELOW_QUALITY = 90
ANIMATION_FRAME_MS, SHORTEST_FRAME_MS, LONGEST_FRAME_MS = 80.0, 20.0, 10_000.0
LARGEST_GIF_SIDE = 65535
SYSTEM_FONT = "DejaVuSans.ttf"
SMALLEST_FONT, FONT_SHARE = 10, 32
"""Text is a 32nd of the picture's height, but never smaller than 10 pixels."""
_LEAST_DECIBEL, _MOST_DECIBEL = 25, 55


def encode_picture(picture: Samples, parameters: RenderParameters, own_profile: bytes | None = None) -> bytes:
    """A picture in the media type that is asked for. `own_profile`: the ICC profile of the instance.

    Raises UnprocessableError where the profile is broken or the picture does not fit the media type.
    """
    pixels = np.ascontiguousarray(picture)
    profile = None
    if pixels.ndim == 3 and parameters.icc_profile != "no":
        pixels, profile = _profiled(pixels, parameters.icc_profile, own_profile)
    if parameters.media_type == JPEG and profile is None:
        return _jpeg(pixels, parameters.quality)
    if parameters.media_type == JP2:
        return _jpeg_2000(pixels, parameters.quality)
    sink = BytesIO()
    image = Image.fromarray(pixels)
    try:
        if parameters.media_type == JPEG:
            image.save(sink, "JPEG", quality=parameters.quality, icc_profile=profile)
        elif parameters.media_type == PNG:
            image.save(sink, "PNG", compress_level=PNG_COMPRESSION, icc_profile=profile)
        elif parameters.media_type == GIF:
            _few_colours(image).save(sink, "GIF")
        else:
            raise UnprocessableError("Pictures of this media type cannot be made.")
    except (OSError, ValueError, struct.error):
        raise UnprocessableError("The picture does not fit this media type.") from None
    return sink.getvalue()


def _jpeg(pixels: Samples, quality: int) -> bytes:
    grey = pixels.ndim == 2
    data: bytes = simplejpeg.encode_jpeg(
        pixels[:, :, np.newaxis] if grey else pixels,
        quality,
        "GRAY" if grey else "RGB",
        "GRAY" if grey else "420" if quality < SUBSAMPLED_BELOW_QUALITY else "444",
        fastdct=False,
    )
    return data


def _jpeg_2000(pixels: Samples, quality: int) -> bytes:
    """Quality 100 is lossless; below, a signal-to-noise ratio of 25 to 55 dB."""
    level = 0 if quality == 100 else _LEAST_DECIBEL + (_MOST_DECIBEL - _LEAST_DECIBEL) * quality // 100
    resolutions = min(6, min(pixels.shape[:2]).bit_length())
    data = imagecodecs.jpeg2k_encode(
        pixels, level=level, codecformat="JP2", reversible=quality == 100, resolutions=resolutions, numthreads=1
    )
    return bytes(data)


def encode_animation(pictures: Iterable[Samples], frame_ms: float | None) -> bytes:
    """Pictures of one size as a GIF that repeats; `frame_ms` is how long each is shown.

    Pictures are taken one by one, so they may be drawn while they are taken.
    """
    images = (_few_colours(Image.fromarray(np.ascontiguousarray(picture))) for picture in pictures)
    first = next(images)
    shown_ms = min(max(frame_ms or ANIMATION_FRAME_MS, SHORTEST_FRAME_MS), LONGEST_FRAME_MS)
    sink = BytesIO()
    first.save(sink, "GIF", save_all=True, append_images=images, duration=shown_ms, loop=0, optimize=False)
    return sink.getvalue()


def _few_colours(image: Image.Image) -> Image.Image:
    """At most 256 colours, chosen for this picture; greys stay as they are."""
    if max(image.size) > LARGEST_GIF_SIDE:
        raise UnprocessableError("The picture does not fit this media type.")
    return image if image.mode == "L" else image.quantize(256, Image.Quantize.MEDIANCUT)


def annotated(picture: Samples, lines: tuple[str, ...]) -> Samples:
    """Lines of text in the upper left corner, white with a dark border."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    size = max(SMALLEST_FONT, picture.shape[0] // FONT_SHARE)
    font, lines = font_of(size, lines)
    canvas = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        place = (size // 2, size // 2 + number * size * 6 // 5)
        canvas.text(place, line, "white", font, stroke_width=max(1, size // 12), stroke_fill="black")
    return np.asarray(image)


def font_of(size: int, lines: tuple[str, ...]) -> tuple[ImageFont.ImageFont | ImageFont.FreeTypeFont, tuple[str, ...]]:
    """DejaVu Sans where the system has it, else Pillow's own, which knows ASCII only: then letters lose their marks."""
    try:
        return ImageFont.truetype(SYSTEM_FONT, size), lines
    except OSError:
        bare = (unicodedata.normalize("NFKD", line).encode("ascii", "replace").decode() for line in lines)
        return ImageFont.load_default(size), tuple(line.replace("?", "") for line in bare)


def _profiled(pixels: Samples, name: str, own_profile: bytes | None) -> tuple[Samples, bytes]:
    """The picture in the colour space of that name, and its profile (PS3.18 §8.3.5.1.5).

    "yes" keeps the instance's own colours and profile; without one of its own they are taken for sRGB.
    """
    own = own_profile or bytes(imagecodecs.cms_profile("srgb"))
    if name == "yes":
        return pixels, own
    wanted = _named_profile(name)
    if name == "srgb" and own_profile is None:
        return pixels, wanted
    try:
        source, target = (ImageCms.ImageCmsProfile(BytesIO(profile)) for profile in (own, wanted))
        image = ImageCms.profileToProfile(Image.fromarray(pixels), source, target)
    except (ImageCms.PyCMSError, OSError, ValueError):
        raise UnprocessableError("The colour profile of this instance cannot be used.") from None
    return np.asarray(image), wanted


def _named_profile(name: str) -> bytes:
    """ROMM RGB (ISO 22028-2) from its primaries and white D50; its curve is taken for a plain power of 1.8."""
    if name == "rommrgb":
        primaries = (0.734699, 0.265301, 1.0, 0.159597, 0.840403, 1.0, 0.036598, 0.000105, 1.0)
        return bytes(imagecodecs.cms_profile("rgb", whitepoint=(0.3457, 0.3585, 1.0), primaries=primaries, gamma=1.8))
    return bytes(imagecodecs.cms_profile(name))
