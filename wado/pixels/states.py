"""Softcopy presentation states: how another instance says an image is to be drawn (PS3.3 A.33, C.10, C.11; PS3.4 N)."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from wado.pixels.drawing_elements import (
    BROKEN_FILE,
    is_inverted,
    lut_of,
    number_of,
    overlays_of,
    value_of,
    window_of,
)
from wado.pixels.presentation import Graphic, Orientation, Points, Presentation, Shutter, Text, Units

MAXIMUM_ANNOTATIONS = 2000
CIRCLE_POINTS = 64
LONGEST_TEXT = 1024


def in_state(presentation: Presentation, state: Dataset, image: Dataset, frame_index: int) -> Presentation:
    """The image's own presentation, with all that the state says in its place.

    A state replaces the modality transformation, the VOI and the overlays as a whole, also by having none.
    """
    applies = [item for item in _items(state, "SoftcopyVOILUTSequence") if _refers(item, image, frame_index)]
    voi = applies[0] if applies else Dataset()
    slope, intercept = number_of(state, "RescaleSlope"), number_of(state, "RescaleIntercept")
    signed = number_of(image, "PixelRepresentation") == 1
    overlays, _ = overlays_of(state, frame_index)
    layers = [item for item in _items(state, "GraphicAnnotationSequence") if _refers(item, image, frame_index)]
    return replace(
        presentation,
        slope=1.0 if slope is None else slope,
        intercept=intercept or 0.0,
        modality_lut=lut_of(state, "ModalityLUTSequence", signed=signed),
        window=window_of(voi),
        voi_lut=lut_of(voi, "VOILUTSequence", signed=signed or (intercept or 0.0) < 0),
        inverted=is_inverted(state) if value_of(state, "PresentationLUTShape") else presentation.inverted,
        overlays=overlays,
        overlay_bits=(),
        shutter=shutter_of(state),
        orientation=_orientation(state, image, frame_index),
        graphics=tuple(islice(_graphics(layers), MAXIMUM_ANNOTATIONS)),
        texts=tuple(islice(_texts(layers), MAXIMUM_ANNOTATIONS)),
    )


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    items = value_of(dataset, keyword)
    try:
        return list(items) if items else []
    except BROKEN_FILE:
        return []


def _refers(item: Dataset, image: Dataset, frame_index: int) -> bool:
    """Whether an item is for this image and frame; without a list it is for all (C.11.8.1)."""
    images = _items(item, "ReferencedImageSequence")
    if not images:
        return True
    for one in images:
        if value_of(one, "ReferencedSOPInstanceUID") != value_of(image, "SOPInstanceUID"):
            continue
        frames = value_of(one, "ReferencedFrameNumber")
        if frames is None:
            return True
        numbers = [frames] if isinstance(frames, int) else list(frames)
        if frame_index + 1 in (int(number) for number in numbers):
            return True
    return False


def _numbers(dataset: Dataset, keyword: str) -> list[float]:
    value = value_of(dataset, keyword)
    try:
        numbers = [float(number) for number in ([value] if isinstance(value, (int, float, str)) else value)]
    except (TypeError, ValueError):
        return []
    return numbers if all(np.isfinite(numbers)) else []


def _pairs(numbers: Iterable[float], *, swapped: bool = False) -> Points:
    """Points from a flat list; `swapped` where rows come first. An odd last number is left out."""
    flat = list(numbers)
    firsts, seconds = flat[::2], flat[1::2]
    return tuple(zip(seconds, firsts, strict=False)) if swapped else tuple(zip(firsts, seconds, strict=False))


def shutter_of(dataset: Dataset) -> Shutter | None:
    """The display shutter of an image or a state (C.7.6.11); its numbers are pixels that are still seen, from 1."""
    shapes = value_of(dataset, "ShutterShape")
    names = {shapes} if isinstance(shapes, str) else set(shapes or ())
    edges = [
        number_of(dataset, f"Shutter{side}Edge")
        for side in ("LeftVertical", "UpperHorizontal", "RightVertical", "LowerHorizontal")
    ]
    center, radius = _numbers(dataset, "CenterOfCircularShutter"), number_of(dataset, "RadiusOfCircularShutter")
    rectangle = circle = None
    left, top, right, bottom = edges
    if "RECTANGULAR" in names and left is not None and top is not None and right is not None and bottom is not None:
        rectangle = (left, top, right - 1, bottom - 1)
    if "CIRCULAR" in names and len(center) == 2 and radius is not None:
        circle = (center[1] - 0.5, center[0] - 0.5, radius)
    polygon: Points = ()
    if "POLYGONAL" in names:
        vertices = _numbers(dataset, "VerticesOfThePolygonalShutter")
        polygon = _pairs((number - 0.5 for number in vertices), swapped=True)
    if rectangle is None and circle is None and len(polygon) < 3:
        return None
    value = number_of(dataset, "ShutterPresentationValue") or 0.0
    return Shutter(rectangle, circle, polygon if len(polygon) >= 3 else (), min(255, max(0, int(value) >> 8)))


def _orientation(state: Dataset, image: Dataset, frame_index: int) -> Orientation | None:
    columns, rows = int(number_of(image, "Columns") or 0), int(number_of(image, "Rows") or 0)
    areas = [item for item in _items(state, "DisplayedAreaSelectionSequence") if _refers(item, image, frame_index)]
    area = (0, 0, columns, rows)
    if areas:
        corners = _numbers(areas[0], "DisplayedAreaTopLeftHandCorner") + _numbers(
            areas[0], "DisplayedAreaBottomRightHandCorner"
        )
        if len(corners) == 4:  # the corners are named as they look once the image is turned
            across, down = sorted(corners[::2]), sorted(corners[1::2])
            area = (
                max(0, int(across[0]) - 1),
                max(0, int(down[0]) - 1),
                min(columns, int(across[1])),
                min(rows, int(down[1])),
            )
    if area[0] >= area[2] or area[1] >= area[3]:
        area = (0, 0, columns, rows)
    quarters = int((number_of(state, "ImageRotation") or 0) // 90) % 4
    flipped = value_of(state, "ImageHorizontalFlip") == "Y"
    if area == (0, 0, columns, rows) and not flipped and not quarters:
        return None
    return Orientation(area, flipped, quarters)


def _units(value: Any) -> Units | None:
    return Units(value) if value in ("PIXEL", "DISPLAY") else None


def _graphics(layers: Iterable[Dataset]) -> Iterator[Graphic]:
    for layer in layers:
        for item in _items(layer, "GraphicObjectSequence"):
            points = _shape(str(value_of(item, "GraphicType")), _pairs(_numbers(item, "GraphicData")))
            units = _units(value_of(item, "GraphicAnnotationUnits"))
            if points and units is not None:
                yield Graphic(points, units, value_of(item, "GraphicFilled") == "Y")


def _shape(kind: str, points: Points) -> Points:
    """The line of a graphic object (C.10.5.1.2); an interpolated curve becomes straight lines."""
    if kind == "CIRCLE" and len(points) == 2:
        (x, y), (edge_x, edge_y) = points
        radius = float(np.hypot(edge_x - x, edge_y - y))
        return _ellipse((x, y), (radius, 0.0), (0.0, radius))
    if kind == "ELLIPSE" and len(points) == 4:
        ends = np.asarray(points)
        center = ends[:2].mean(0)
        return _ellipse(tuple(center), tuple((ends[1] - ends[0]) / 2), tuple((ends[3] - ends[2]) / 2))
    return points if kind in ("POINT", "POLYLINE", "INTERPOLATED") else ()


def _ellipse(center: tuple[float, ...], major: tuple[float, ...], minor: tuple[float, ...]) -> Points:
    angles = np.linspace(0, 2 * np.pi, CIRCLE_POINTS + 1)
    line = np.asarray(center) + np.outer(np.cos(angles), major) + np.outer(np.sin(angles), minor)
    return tuple((float(x), float(y)) for x, y in line)


def _texts(layers: Iterable[Dataset]) -> Iterator[Text]:
    for layer in layers:
        for item in _items(layer, "TextObjectSequence"):
            text = str(value_of(item, "UnformattedTextValue") or "")[:LONGEST_TEXT]
            for place, units in (
                ("BoundingBoxTopLeftHandCorner", "BoundingBoxAnnotationUnits"),
                ("AnchorPoint", "AnchorPointAnnotationUnits"),
            ):
                points, kind = _pairs(_numbers(item, place)), _units(value_of(item, units))
                if text and points and kind is not None:
                    yield Text(text.replace("\r\n", "\n").replace("\r", "\n"), points[0], kind)
                    break
