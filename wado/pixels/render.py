"""A frame → a picture for people: modality, size, VOI, presentation (PS3.4 N.2, PS3.3 C.11, PS3.18 §8.3.5)."""

from dataclasses import dataclass

import numpy as np

from archive.errors import UnprocessableError
from archive.instances import PixelFacts
from wado.pixels.codestream import check_frame
from wado.pixels.decode import Decoded, Samples, decode, ybr_to_rgb
from wado.pixels.geometry import Geometry
from wado.pixels.graphics import shuttered, with_graphics
from wado.pixels.parameters import RenderParameters, Window, WindowShape
from wado.pixels.pictures import annotated, encode_picture
from wado.pixels.presentation import Overlay, Presentation
from wado.pixels.reduced import decode_reduced, rgb_from_jpeg
from wado.pixels.syntaxes import EXPLICIT_BE, JPEG_BASELINE, NATIVE

COLOUR = frozenset(("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"))
LARGEST_TABLE = 1 << 16
OVERLAY_SHARE = 64
"""How much of a pixel, of 255, an overlay must cover to show when the picture is made smaller: thin lines stay."""


@dataclass(frozen=True, slots=True)
class CodedPicture:
    """A frame's bytes with all that drawing it needs."""

    frame: bytes
    facts: PixelFacts
    transfer_syntax_uid: str
    bit_offset: int
    presentation: Presentation


def render_frame(coded: CodedPicture, parameters: RenderParameters) -> bytes:
    """The frame as a picture in the media type of the parameters.

    Raises UnprocessableError where it cannot be decoded or drawn.
    """
    return encode_picture(draw(coded, parameters), parameters, coded.presentation.icc_profile)


def draw(coded: CodedPicture, parameters: RenderParameters) -> Samples:
    """The picture: (rows, columns) or (rows, columns, 3), 8 bits."""
    geometry = Geometry.of(coded.facts, coded.presentation, parameters.viewport)
    windowed = parameters.window is not None or coded.presentation.window is not None
    decoded = _decoded(coded, geometry.halvings if windowed or coded.facts.samples_per_pixel > 1 else 0)
    samples = decoded.samples
    if samples.ndim == 3:
        picture = geometry.fitted(_colour(decoded, coded.facts))
    elif coded.presentation.palette is not None:
        picture = geometry.fitted(coded.presentation.palette.look_up(samples))
    elif coded.facts.photometric_interpretation == "PALETTE COLOR":
        raise UnprocessableError("The palette of this instance is missing or broken.")
    else:
        picture = _grey(samples, coded, parameters, geometry)
    picture = shuttered(picture, coded.presentation.shutter, geometry)
    covered = _covered(coded, geometry)
    if covered is not None:
        picture = np.array(picture)
        picture[covered] = 255
    picture = with_graphics(picture, coded.presentation, geometry)
    return annotated(picture, parameters.annotation) if parameters.annotation else picture


def _decoded(coded: CodedPicture, halvings: int) -> Decoded:
    """The samples; at a fraction of their size where that is all the picture needs and the code stream has it."""
    facts, syntax = coded.facts, coded.transfer_syntax_uid
    if facts.samples_per_pixel > 1 and (facts.photometric_interpretation not in COLOUR or facts.samples_per_pixel != 3):
        raise UnprocessableError("Pictures of this colour space cannot be drawn.")
    if halvings and coded.presentation.palette is None and coded.presentation.modality_lut is None:
        reduced = decode_reduced(coded.frame, facts, syntax, halvings)
        if reduced is not None:
            return reduced
    if syntax == JPEG_BASELINE and facts.samples_per_pixel == 3:
        header = check_frame(coded.frame, facts, syntax)
        rgb = rgb_from_jpeg(coded.frame, facts, header) if header is not None else None
        if rgb is not None:
            return Decoded(rgb, "RGB")
    return decode(coded.frame, facts, syntax, coded.bit_offset)


def _colour(decoded: Decoded, facts: PixelFacts) -> Samples:
    samples = decoded.samples
    if samples.dtype != np.uint8 or facts.bits_stored < 8:
        highest = (1 << facts.bits_stored) - 1
        samples = np.clip(samples * (255.0 / highest) + 0.5, 0, 255).astype(np.uint8)
    return ybr_to_rgb(samples) if decoded.photometric_interpretation.startswith("YBR") else samples


def _grey(samples: Samples, coded: CodedPicture, parameters: RenderParameters, geometry: Geometry) -> Samples:
    """A window alone is drawn after scaling: fewer pixels, and means of values. Tables are taken before it."""
    presentation = coded.presentation
    samples = _stored_values(samples, coded.facts)
    window = parameters.window or presentation.window
    if presentation.modality_lut is None and not (window is None and presentation.voi_lut is not None):
        if window is None:
            window = _own_window(samples, presentation)
        values = geometry.fitted(_float(samples, coded.facts))
        grey = _windowed(values, window, presentation.slope, presentation.intercept)
    else:
        grey = geometry.fitted(_through_tables(samples, presentation, window))
    return np.subtract(255, grey, dtype=np.uint8) if presentation.inverted else grey


def _stored_values(samples: Samples, facts: PixelFacts) -> Samples:
    """Samples whose High Bit is not next to Bits Stored are moved down."""
    spare = facts.high_bit + 1 - facts.bits_stored
    if spare <= 0 or samples.dtype.kind == "f" or facts.high_bit >= facts.bits_allocated:
        return samples
    above = facts.bits_allocated - 1 - facts.high_bit
    return np.right_shift(np.left_shift(samples, above), above + spare)


def _float(samples: Samples, facts: PixelFacts) -> Samples:
    """Single precision: exact up to 24 bits, and no screen shows a difference beyond."""
    values = samples.astype(np.float32)
    if facts.pixel_keyword != "PixelData":
        np.nan_to_num(values, copy=False)
    return values


def _windowed(values: Samples, window: Window, slope: float = 1.0, intercept: float = 0.0) -> Samples:
    """Stored values → 0…255 through slope, intercept and window (PS3.3 C.11.2.1.2, C.11.2.1.3)."""
    center, width = window.center, window.width
    if window.shape is WindowShape.SIGMOID:
        with np.errstate(over="ignore"):
            scaled = 255.0 / (1.0 + np.exp((values * slope + (intercept - center)) * (-4.0 / width)))
    elif window.shape is WindowShape.LINEAR and width <= 1:
        scaled = np.where(values * slope + intercept > center - 0.5, 255.0, 0.0)
    else:
        if window.shape is WindowShape.LINEAR:
            center, width = center - 0.5, width - 1
        gain = 255.0 / width
        scaled = values * np.float32(slope * gain)
        scaled += np.float32((intercept - center) * gain + 127.5)
    np.clip(scaled, 0, 255, out=scaled)
    scaled += 0.5
    return scaled.astype(np.uint8)


def _own_window(samples: Samples, presentation: Presentation) -> Window:
    """From the smallest to the largest value that is image, for a dataset that names no window."""
    image = samples[np.isfinite(samples)] if samples.dtype.kind == "f" else samples
    if presentation.padding is not None:
        low, high = presentation.padding
        image = image[(image < low) | (image > high)]
    if image.size == 0:
        return Window(0.5, 1.0, WindowShape.LINEAR_EXACT)
    ends = [float(end) * presentation.slope + presentation.intercept for end in (image.min(), image.max())]
    low, high = min(ends), max(ends)
    if low == high:  # an image of one value: black where it is nothing, else white
        low, high = min(low, 0.0), max(high, low + 1.0 if low <= 0 else low)
    return Window((low + high) / 2, high - low, WindowShape.LINEAR_EXACT)


def _through_tables(samples: Samples, presentation: Presentation, window: Window | None) -> Samples:
    """Modality and VOI tables, worked out once for each stored value that occurs, not for each pixel."""
    if samples.dtype.kind == "f":
        return _greys_of(samples, presentation, window)
    low, high = int(samples.min()), int(samples.max())
    if high - low >= LARGEST_TABLE:
        return _greys_of(samples, presentation, window)
    table = _greys_of(np.arange(low, high + 1), presentation, window)
    greys: Samples = table[samples.astype(np.int64) - low]
    return greys


def _greys_of(stored: Samples, presentation: Presentation, window: Window | None) -> Samples:
    if presentation.modality_lut is not None:
        values: Samples = presentation.modality_lut.look_up(stored).astype(np.float64)
    else:
        values = stored * presentation.slope + presentation.intercept
    if window is not None:
        return _windowed(np.asarray(values, np.float64), window)
    if presentation.voi_lut is not None:
        scaled = presentation.voi_lut.look_up(values) * (255.0 / presentation.voi_lut.highest)
        greys: Samples = np.clip(scaled + 0.5, 0, 255).astype(np.uint8)
        return greys
    return _windowed(values, _own_window(values, Presentation()))


def _covered(coded: CodedPicture, geometry: Geometry) -> Samples | None:
    """Pixels of the picture that an overlay covers."""
    facts, overlays = coded.facts, coded.presentation.overlays
    planes = [_placed(overlay, facts) for overlay in overlays]
    planes += [plane for bit in coded.presentation.overlay_bits if (plane := _embedded(coded, bit)) is not None]
    if not planes:
        return None
    whole = np.logical_or.reduce(planes)
    covered: Samples = geometry.fitted(whole.astype(np.uint8) * np.uint8(255)) >= OVERLAY_SHARE
    return covered


def _placed(overlay: Overlay, facts: PixelFacts) -> Samples:
    """The overlay where it lies in the image; what reaches outside is cut."""
    covered = np.zeros((facts.rows, facts.columns), bool)
    part = overlay.plane[max(0, -overlay.top) :, max(0, -overlay.left) :]
    top, left = max(0, overlay.top), max(0, overlay.left)
    part = part[: max(0, facts.rows - top), : max(0, facts.columns - left)]
    covered[top : top + part.shape[0], left : left + part.shape[1]] = part
    return covered


def _embedded(coded: CodedPicture, bit: int) -> Samples | None:
    """An overlay in an unused bit of native samples (PS3.5 §8.1.2, retired)."""
    facts = coded.facts
    if coded.transfer_syntax_uid not in NATIVE or facts.samples_per_pixel != 1 or facts.bits_allocated not in (8, 16):
        return None
    if not 0 <= bit < facts.bits_allocated or facts.high_bit - facts.bits_stored < bit <= facts.high_bit:
        return None
    order = ">" if coded.transfer_syntax_uid == EXPLICIT_BE else "<"
    containers = np.frombuffer(coded.frame, f"{order}u{facts.bits_allocated // 8}", facts.rows * facts.columns)
    return ((containers >> bit) & 1).astype(bool).reshape(facts.rows, facts.columns)
