"""From an image to the picture of it: the displayed area, turned; the viewport's part of that; flips and size."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from archive.errors import UnprocessableError
from archive.instances import PixelFacts
from wado.pixels.decode import Samples
from wado.pixels.parameters import Viewport
from wado.pixels.presentation import Orientation, Points, Presentation, Units

MAXIMUM_PICTURE_PIXELS = 64 << 20


@dataclass(frozen=True, slots=True)
class Geometry:
    """`rows` and `columns` are the image's; `part` (first row, end row, first column, end column) lies in the turned
    displayed area; `height` and `width` are the picture's.
    """

    rows: int
    columns: int
    orientation: Orientation | None
    part: tuple[int, int, int, int]
    flipped: tuple[bool, bool]
    height: int
    width: int

    @classmethod
    def of(cls, facts: PixelFacts, presentation: Presentation, viewport: Viewport | None) -> "Geometry":
        """The viewport's part of the image, as large as it fits into the viewport (PS3.18 §8.3.5.1.3).

        Raises UnprocessableError where the part lies outside the image, or the picture would be too large.
        """
        orientation, pixel_height = presentation.orientation, presentation.pixel_height
        rows, columns = facts.rows, facts.columns
        if orientation is not None:
            first_column, first_row, end_column, end_row = orientation.area
            rows, columns = end_row - first_row, end_column - first_column
            if orientation.quarters % 2:
                rows, columns, pixel_height = columns, rows, 1 / pixel_height
        part, flipped = _part(rows, columns, viewport)
        tall = (part[1] - part[0]) * max(1.0, pixel_height)
        wide = (part[3] - part[2]) * max(1.0, 1 / pixel_height)
        scale = min(viewport.width / wide, viewport.height / tall) if viewport else 1.0
        height, width = max(1, round(tall * scale)), max(1, round(wide * scale))
        if height * width > MAXIMUM_PICTURE_PIXELS:
            raise UnprocessableError("The picture would be too large.")
        return cls(facts.rows, facts.columns, orientation, part, flipped, height, width)

    @property
    def halvings(self) -> int:
        """How often the image may be halved before it is smaller than the picture; 0 where only a part is shown."""
        if self.orientation is not None or self.part != (0, self.rows, 0, self.columns):
            return 0
        return max(0, min(self.rows // self.height, self.columns // self.width).bit_length() - 1)

    def fitted(self, values: Samples) -> Samples:
        """Turn, cut, flip and scale; values may already be a reduced image of the whole."""
        if values.shape[:2] == (self.rows, self.columns):
            values = self._turned(values)
            first_row, end_row, first_column, end_column = self.part
            values = values[first_row:end_row, first_column:end_column]
        vertical, horizontal = self.flipped
        values = values[:: -1 if vertical else 1, :: -1 if horizontal else 1]
        if values.shape[:2] == (self.height, self.width):
            return values
        return _scaled(values, self.height, self.width)

    def _turned(self, values: Samples) -> Samples:
        if self.orientation is None:
            return values
        first_column, first_row, end_column, end_row = self.orientation.area
        values = values[first_row:end_row, first_column:end_column]
        if self.orientation.flipped:
            values = values[:, ::-1]
        return np.rot90(values, -self.orientation.quarters)

    def placed(self, points: Points, units: Units) -> list[tuple[float, float]]:
        """Points of an annotation as columns and rows of the picture, from its outer corner."""
        columns, rows = np.asarray(points, np.float64).reshape(-1, 2).T
        if units is Units.DISPLAY:
            height, width = self._turned_size()
            columns, rows = columns * width, rows * height
        else:
            columns, rows = self._turned_points(columns, rows)
        first_row, end_row, first_column, end_column = self.part
        columns = (columns - first_column) * (self.width / (end_column - first_column))
        rows = (rows - first_row) * (self.height / (end_row - first_row))
        vertical, horizontal = self.flipped
        columns = self.width - columns if horizontal else columns
        rows = self.height - rows if vertical else rows
        return list(zip(columns.tolist(), rows.tolist(), strict=True))

    def _turned_size(self) -> tuple[int, int]:
        if self.orientation is None:
            return self.rows, self.columns
        first_column, first_row, end_column, end_row = self.orientation.area
        size = end_row - first_row, end_column - first_column
        return size[::-1] if self.orientation.quarters % 2 else size

    def _turned_points(self, columns: Samples, rows: Samples) -> tuple[Samples, Samples]:
        if self.orientation is None:
            return columns, rows
        first_column, first_row, end_column, end_row = self.orientation.area
        columns, rows = columns - first_column, rows - first_row
        width, height = end_column - first_column, end_row - first_row
        if self.orientation.flipped:
            columns = width - columns
        for _ in range(self.orientation.quarters):
            columns, rows, width, height = height - rows, columns, height, width
        return columns, rows


def _part(rows: int, columns: int, viewport: Viewport | None) -> tuple[tuple[int, int, int, int], tuple[bool, bool]]:
    """The rows and columns that the viewport shows, and whether it flips them; all where it names no source."""
    if viewport is None or viewport.source is None:
        return (0, rows, 0, columns), (False, False)
    left, top, width, height = viewport.source
    first_column, first_row = int(left), int(top)
    end_column = min(columns, first_column + max(1, round(abs(width))))
    end_row = min(rows, first_row + max(1, round(abs(height))))
    if first_column >= end_column or first_row >= end_row:
        raise UnprocessableError("The viewport shows a part that lies outside the image.")
    return (first_row, end_row, first_column, end_column), (height < 0, width < 0)


def _scaled(values: Samples, height: int, width: int) -> Samples:
    """Means when made smaller, lines between samples when made larger."""
    image = Image.fromarray(np.ascontiguousarray(values))
    smaller = height < values.shape[0] or width < values.shape[1]
    if smaller:
        factors = max(1, values.shape[1] // width), max(1, values.shape[0] // height)
        if factors != (1, 1):
            image = image.reduce(factors)
    method = Image.Resampling.BOX if smaller else Image.Resampling.BILINEAR
    return np.asarray(image if image.size == (width, height) else image.resize((width, height), method))
