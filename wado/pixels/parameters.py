"""How a picture is to be drawn (PS3.18 §8.3.5), as values that travel to the worker processes."""

from dataclasses import dataclass
from enum import StrEnum

JPEG, PNG, GIF, JP2 = "image/jpeg", "image/png", "image/gif", "image/jp2"
DEFAULT_QUALITY = 85


class WindowShape(StrEnum):
    """VOI LUT Function (PS3.3 C.11.2.1.3), in the words of the `window` parameter."""

    LINEAR = "linear"
    LINEAR_EXACT = "linear-exact"
    SIGMOID = "sigmoid"


@dataclass(frozen=True, slots=True)
class Window:
    """Replaces the windows and VOI LUTs of the image."""

    center: float
    width: float
    shape: WindowShape = WindowShape.LINEAR


@dataclass(frozen=True, slots=True)
class Viewport:
    """The picture fits into `width` × `height` pixels, its aspect kept; it is not made larger than that.

    `source` is the part of the image that is shown: left, top, width, height in pixels of the image; a negative
    width flips it left to right, a negative height top to bottom.
    """

    width: int
    height: int
    source: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class RenderParameters:
    """A picture. `annotation`: lines that are burned in; `icc_profile`: name of the profile that is embedded."""

    media_type: str = JPEG
    viewport: Viewport | None = None
    window: Window | None = None
    quality: int = DEFAULT_QUALITY
    icc_profile: str = "no"
    annotation: tuple[str, ...] = ()

    def cache_name(self) -> str:
        """Tells apart every two pictures that differ."""
        return repr(self)
