"""What a dataset says of how its pixels are drawn, as plain values (PS3.3 C.7.6.3, C.7.6.16, C.9, C.11)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wado.pixels.parameters import Window


@dataclass(frozen=True, slots=True)
class Lut:
    """A lookup table (PS3.3 C.11.1.1.1, C.11.2.1.1). Values before `first` take the first entry, those after the last.

    `highest` is the largest output that its bits allow.
    """

    first: int
    entries: NDArray[np.uint16]
    highest: int

    def look_up(self, values: NDArray[Any]) -> NDArray[np.uint16]:
        index = np.clip(np.asarray(values, np.float64) - self.first, 0, len(self.entries) - 1)
        return self.entries[np.rint(index).astype(np.intp)]


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of palette indexes: `colours` is (entries, 3), 8 bits."""

    first: int
    colours: NDArray[np.uint8]

    def look_up(self, indexes: NDArray[Any]) -> NDArray[np.uint8]:
        index = np.clip(indexes.astype(np.int64) - self.first, 0, len(self.colours) - 1)
        return self.colours[index]


@dataclass(frozen=True, slots=True)
class Overlay:
    """Pixels that a graphic overlay covers (PS3.3 C.9.2); `top` and `left` are where it begins in the image, from 0."""

    top: int
    left: int
    plane: NDArray[np.bool_]


class Units(StrEnum):
    """What the points of an annotation count (PS3.3 C.10.5)."""

    PIXEL = "PIXEL"
    """Columns and rows of the image; 0, 0 is the outer corner of its first pixel."""
    DISPLAY = "DISPLAY"
    """Fractions of the displayed area, as it is turned."""


Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Graphic:
    """A line through points, closed and filled where `filled`; one point alone is a dot."""

    points: Points
    units: Units
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """Lines of text, their upper left corner at the point."""

    text: str
    place: tuple[float, float]
    units: Units


@dataclass(frozen=True, slots=True)
class Shutter:
    """What is not hidden (PS3.3 C.7.6.11): inside all of the shapes that are there, in columns and rows of the image.

    `rectangle` is left, top, right, bottom; `circle` column, row, radius. `grey`: what hidden pixels become.
    """

    rectangle: tuple[float, float, float, float] | None = None
    circle: tuple[float, float, float] | None = None
    polygon: Points = ()
    grey: int = 0


@dataclass(frozen=True, slots=True)
class Orientation:
    """The displayed area, then flipped left to right, then turned clockwise (PS3.3 C.10.4, C.10.6).

    `area` is first column, first row, end column, end row of the image before it is turned.
    """

    area: tuple[int, int, int, int]
    flipped: bool = False
    quarters: int = 0


@dataclass(frozen=True, slots=True)
class Presentation:
    """How one frame is drawn.

    `window` goes before `voi_lut`; where there is neither, the frame's own range is shown.
    `padding`: stored values from the first to the second are no image (C.7.5.1.1.2).
    `overlay_bits`: bits of native containers that hold an overlay (retired, but met).
    `pixel_height`: height of a pixel, its width being 1.
    """

    slope: float = 1.0
    intercept: float = 0.0
    modality_lut: Lut | None = None
    window: Window | None = None
    voi_lut: Lut | None = None
    inverted: bool = False
    palette: Palette | None = None
    overlays: tuple[Overlay, ...] = ()
    overlay_bits: tuple[int, ...] = ()
    padding: tuple[float, float] | None = None
    pixel_height: float = 1.0
    icc_profile: bytes | None = None
    frame_ms: float | None = None
    shutter: Shutter | None = None
    orientation: Orientation | None = None
    graphics: tuple[Graphic, ...] = ()
    texts: tuple[Text, ...] = ()
