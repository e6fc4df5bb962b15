"""Samples → a picture for people: values through their LUTs, resized, windowed, encoded (PS3.18 §8.3.5, PS3.4 N.2)."""

from io import BytesIO

import imagecodecs
import numpy as np
import simplejpeg
from PIL import Image, ImageCms, ImageDraw, ImageFont

from archive.errors import UnprocessableError
from archive.instances import PixelFacts
from wado.pixels.decode import Samples, decode, ybr_to_rgb
from wado.pixels.parameters import GIF, JP2, JPEG, PNG, RenderParameters, Viewport, Window, WindowShape
from wado.pixels.presentation import Presentation

PNG_COMPRESSION = 1
ANIMATION_FRAME_MS = 80
MAXIMUM_PICTURE_PIXELS = 64 << 20
SMALLEST_FONT, FONT_SHARE = 10, 32
"""Text is a 32nd of the picture's height, but never smaller than 10 pixels."""


def draw(
    frame: bytes, facts: PixelFacts, syntax: tuple[str, int], drawing: tuple[Presentation, RenderParameters]
) -> Samples:
    """The picture of a frame as (rows, columns) or (rows, columns, 3) of 8 bits.

    `syntax` is the transfer syntax of `frame` and the bit offset of its first sample. Raises UnprocessableError.
    """
    presentation, parameters = drawing
    decoded = decode(frame, facts, *syntax)
    samples, colour = decoded.samples, decoded.photometric_interpretation
    overlay = presentation.overlays(samples.shape)
    if samples.ndim == 3:
        picture = _viewed(_eight_bits(ybr_to_rgb(samples) if colour.startswith("YBR") else samples, facts), parameters)
    elif presentation.has_palette:
        picture = _viewed(presentation.coloured(samples), parameters)
    else:
        picture = _grey(samples, presentation, parameters)
    if overlay is not None:
        covered = _viewed((overlay * np.uint8(255)).astype(np.uint8), parameters) > 127
        picture = picture.copy()
        picture[covered] = 255
    return _annotated(picture, parameters.annotation) if parameters.annotation else picture


def encode(picture: Samples, parameters: RenderParameters) -> bytes:
    """A picture in the media type that is asked for."""
    if parameters.media_type == JPEG and parameters.icc_profile == "no":
        shaped = picture if picture.ndim == 3 else picture[..., np.newaxis]
        space = "RGB" if picture.ndim == 3 else "GRAY"
        data = simplejpeg.encode_jpeg(np.ascontiguousarray(shaped), quality=parameters.quality, colorspace=space)
        return bytes(data)
    if parameters.media_type == JP2:
        return bytes(
            imagecodecs.jpeg2k_encode(np.ascontiguousarray(picture), level=parameters.quality, codecformat="jp2")
        )
    image, sink = Image.fromarray(np.ascontiguousarray(picture)), BytesIO()
    profile = _profile(parameters.icc_profile)
    if parameters.media_type == JPEG:
        image.save(sink, "JPEG", quality=parameters.quality, icc_profile=profile)
    elif parameters.media_type == PNG:
        image.save(sink, "PNG", compress_level=PNG_COMPRESSION, icc_profile=profile)
    elif parameters.media_type == GIF:
        image.save(sink, "GIF")
    else:
        raise UnprocessableError("Pictures of this media type cannot be made.")
    return sink.getvalue()


def animate(pictures: list[Samples]) -> bytes:
    """Several pictures as one GIF that repeats."""
    images, sink = [Image.fromarray(np.ascontiguousarray(picture)) for picture in pictures], BytesIO()
    images[0].save(sink, "GIF", save_all=True, append_images=images[1:], duration=ANIMATION_FRAME_MS, loop=0)
    return sink.getvalue()


def _grey(samples: Samples, presentation: Presentation, parameters: RenderParameters) -> Samples:
    """Modality, then size, then VOI: a window on fewer pixels costs less, and averages are of values, not of greys."""
    values = presentation.modality_values(samples)
    window = parameters.window or presentation.window()
    if window is None and not presentation.has_voi_lut:
        window = _whole_range(samples, values, presentation)
    values = _viewed(values, parameters)
    if window is not None:
        grey = windowed(values, window)
    else:
        looked_up, highest = presentation.voi_values(values)
        grey = np.clip(looked_up * (255.0 / highest), 0, 255).astype(np.uint8)
    return np.subtract(255, grey, dtype=np.uint8) if presentation.is_inverted else grey


def windowed(values: Samples, window: Window) -> Samples:
    """Values → 0…255 by the formulas of PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    center, width = window.center, window.width
    if window.shape is WindowShape.SIGMOID:
        with np.errstate(over="ignore"):
            scaled = 255.0 / (1.0 + np.exp(-4.0 * (values - center) / width))
    elif window.shape is WindowShape.LINEAR_EXACT:
        scaled = (values - (center - width / 2)) * (255.0 / width)
    elif width <= 1:
        scaled = np.where(values > center - 0.5, 255.0, 0.0)
    else:
        scaled = ((values - (center - 0.5)) / (width - 1) + 0.5) * 255.0
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def _whole_range(samples: Samples, values: Samples, presentation: Presentation) -> Window:
    """All values that are image, for a dataset that says nothing."""
    image = values
    if presentation.padding is not None:
        low, high = presentation.padding
        image = values[(samples < low) | (samples > high)]
    image = image[np.isfinite(image)]
    if image.size == 0:
        return Window(0.5, 1.0, WindowShape.LINEAR_EXACT)
    low, high = float(image.min()), float(image.max())
    return Window((low + high) / 2, max(high - low, 1e-6), WindowShape.LINEAR_EXACT)


def _eight_bits(samples: Samples, facts: PixelFacts) -> Samples:
    if samples.dtype == np.uint8:
        return samples
    shift = max(0, facts.bits_stored - 8)
    return np.clip(np.right_shift(samples, shift), 0, 255).astype(np.uint8)


def _viewed(values: Samples, parameters: RenderParameters) -> Samples:
    """The part and the size that the viewport asks for; never larger than the part itself."""
    viewport = parameters.viewport
    if viewport is None:
        return values
    part = _part(values, viewport)
    rows, columns = part.shape[:2]
    scale = min(viewport.width / columns, viewport.height / rows)
    if viewport.source is None:
        scale = min(scale, 1.0)
    width, height = max(1, round(columns * scale)), max(1, round(rows * scale))
    if width * height > MAXIMUM_PICTURE_PIXELS:
        raise UnprocessableError("The picture would be too large.")
    if (width, height) == (columns, rows):
        return part
    image = Image.fromarray(np.ascontiguousarray(part))
    method = Image.Resampling.BOX if scale <= 0.5 else Image.Resampling.BILINEAR
    return np.asarray(image.resize((width, height), method, reducing_gap=2.0 if scale < 0.5 else None))


def _part(values: Samples, viewport: Viewport) -> Samples:
    """The source region, flipped where its width or height is negative. Raises UnprocessableError outside the image."""
    if viewport.source is None:
        return values
    left, top, width, height = viewport.source
    first_column, first_row = int(left), int(top)
    part = values[
        first_row : first_row + max(1, round(abs(height))), first_column : first_column + max(1, round(abs(width)))
    ]
    if part.size == 0:
        raise UnprocessableError("The viewport shows a part that lies outside the image.")
    if width < 0:
        part = part[:, ::-1]
    return part[::-1] if height < 0 else part


def _annotated(picture: Samples, lines: tuple[str, ...]) -> Samples:
    """Lines of text in the upper left corner, white with a dark border."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    size = max(SMALLEST_FONT, picture.shape[0] // FONT_SHARE)
    font = ImageFont.load_default(size)
    canvas = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        canvas.text(
            (size // 2, size // 2 + number * size * 1.2), line, "white", font, stroke_width=1, stroke_fill="black"
        )
    return np.asarray(image)


def _profile(name: str) -> bytes | None:
    """The ICC profile to embed: sRGB, the space that our pictures are in (others are not shipped)."""
    if name == "no":
        return None
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
