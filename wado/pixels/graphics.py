"""Shutters, lines and texts of presentation states, drawn on the finished picture (PS3.3 C.7.6.11, C.10.5)."""

import numpy as np
from PIL import Image, ImageDraw

from wado.pixels.decode import Samples
from wado.pixels.geometry import Geometry
from wado.pixels.pictures import font_of
from wado.pixels.presentation import Graphic, Presentation, Shutter

DOT_RADIUS = 2
TEXT_SHARE = 40
"""Text is a 40th of the picture's height, but never smaller than 10 pixels."""
SMALLEST_TEXT = 10


def shuttered(picture: Samples, shutter: Shutter | None, geometry: Geometry) -> Samples:
    """The picture, hidden where the shutter is closed."""
    if shutter is None:
        return picture
    seen = geometry.fitted(_opening(shutter, geometry.rows, geometry.columns).astype(np.uint8) * np.uint8(255)) > 127
    picture = np.array(picture)
    picture[~seen] = shutter.grey
    return picture


def _opening(shutter: Shutter, rows: int, columns: int) -> Samples:
    """Pixels of the image that the shutter leaves open; a pixel is open where its middle is."""
    y, x = np.mgrid[:rows, :columns] + 0.5
    opened = np.ones((rows, columns), bool)
    if shutter.rectangle is not None:
        left, top, right, bottom = shutter.rectangle
        opened &= (x > left) & (x < right) & (y > top) & (y < bottom)
    if shutter.circle is not None:
        column, row, radius = shutter.circle
        opened &= (x - column) ** 2 + (y - row) ** 2 <= radius * radius
    if shutter.polygon:
        mask = Image.new("1", (columns, rows))
        ImageDraw.Draw(mask).polygon([(column - 0.5, row - 0.5) for column, row in shutter.polygon], fill=1)
        opened &= np.asarray(mask)
    return opened


def with_graphics(picture: Samples, presentation: Presentation, geometry: Geometry) -> Samples:
    """Lines and texts in white, with a dark border around letters."""
    if not presentation.graphics and not presentation.texts:
        return picture
    image = Image.fromarray(np.ascontiguousarray(picture))
    canvas = ImageDraw.Draw(image)
    for graphic in presentation.graphics:
        _draw(canvas, graphic, geometry)
    size = max(SMALLEST_TEXT, picture.shape[0] // TEXT_SHARE)
    for text in presentation.texts:
        (place,) = geometry.placed((text.place,), text.units)
        font, lines = font_of(size, (text.text,))
        canvas.multiline_text(place, lines[0], "white", font, stroke_width=1, stroke_fill="black")
    return np.asarray(image)


def _draw(canvas: ImageDraw.ImageDraw, graphic: Graphic, geometry: Geometry) -> None:
    points = [(column - 0.5, row - 0.5) for column, row in geometry.placed(graphic.points, graphic.units)]
    if len(points) == 1:
        column, row = points[0]
        box = (column - DOT_RADIUS, row - DOT_RADIUS, column + DOT_RADIUS, row + DOT_RADIUS)
        canvas.ellipse(box, fill="white")
    elif graphic.filled and len(points) > 2:
        canvas.polygon(points, fill="white")
    else:
        canvas.line(points, fill="white", width=1)
