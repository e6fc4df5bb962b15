"""Elements of a dataset → the plain values of a presentation; what is broken is None (PS3.3 C.7.6.3, C.9, C.11)."""

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.pixels.processing import apply_color_lut

from wado.pixels.parameters import Window, WindowShape
from wado.pixels.presentation import Lut, Overlay, Palette

MAXIMUM_OVERLAYS = 16
MAXIMUM_ASPECT = 16.0
_SHAPES = {"LINEAR": WindowShape.LINEAR, "LINEAR_EXACT": WindowShape.LINEAR_EXACT, "SIGMOID": WindowShape.SIGMOID}
BROKEN = (InvalidDicomError, ValueError, KeyError, AttributeError, TypeError, NotImplementedError, struct.error)
BROKEN_FILE = (*BROKEN, EOFError, RecursionError, IndexError)


def macro_of(dataset: Dataset, sequence: str, frame_index: int) -> Dataset:
    """The item of a functional group for this frame: its own, else the shared one, else the dataset itself."""
    for groups, index in (("PerFrameFunctionalGroupsSequence", frame_index), ("SharedFunctionalGroupsSequence", 0)):
        items = value_of(dataset, groups)
        if items and index < len(items):
            found = value_of(items[index], sequence)
            if found:
                item: Dataset = found[0]
                return item
    return dataset


def value_of(dataset: Dataset, keyword: str) -> Any:
    """The value of an element; None where it is absent or cannot be read."""
    try:
        return dataset.get(keyword)
    except BROKEN_FILE:
        return None


def number_of(dataset: Dataset, keyword: str) -> float | None:
    """The first value of an element, finite."""
    value = value_of(dataset, keyword)
    try:
        number = float(value[0] if isinstance(value, (list, MultiValue)) else value)
    except (TypeError, ValueError, IndexError):
        return None
    return number if np.isfinite(number) else None


def window_of(voi: Dataset) -> Window | None:
    center, width = number_of(voi, "WindowCenter"), number_of(voi, "WindowWidth")
    if center is None or width is None or width <= 0:
        return None
    shape = _SHAPES.get(str(value_of(voi, "VOILUTFunction") or "LINEAR").strip(), WindowShape.LINEAR)
    return Window(center, width, shape)


def lut_of(dataset: Dataset, sequence: str, *, signed: bool) -> Lut | None:
    """The first item of a LUT sequence; `signed` tells how its first mapped value is to be read."""
    items = value_of(dataset, sequence)
    if not items:
        return None
    try:
        count, first, bits = (int(number) for number in items[0].LUTDescriptor)
        entries = _entries(items[0].LUTData, count or 1 << 16)
    except BROKEN:
        return None
    if not 1 <= bits <= 16 or entries.size == 0:
        return None
    if signed and first >= 1 << 15:
        first -= 1 << 16
    return Lut(first, entries, (1 << bits) - 1)


def _entries(data: Any, count: int) -> NDArray[np.uint16]:
    """LUT Data as numbers: pydicom gives US as a list and OW as bytes; entries of 8 bits may be packed."""
    if isinstance(data, bytes):
        kind = "<u2" if len(data) >= 2 * count else "u1"
        return np.frombuffer(data, kind, min(count, len(data) // np.dtype(kind).itemsize)).astype(np.uint16)
    numbers = [data] if isinstance(data, int) else list(data)
    return np.asarray(numbers[:count]).astype(np.uint16)


def is_inverted(dataset: Dataset) -> bool:
    """Whether the smallest value is white (PS3.3 C.11.6, C.7.6.3.1.2)."""
    shape = str(value_of(dataset, "PresentationLUTShape") or "").strip()
    if shape:
        return shape == "INVERSE"
    return str(value_of(dataset, "PhotometricInterpretation")).strip() == "MONOCHROME1"


def palette_of(dataset: Dataset) -> Palette | None:
    """Plain and segmented palettes, as one table of 8-bit colours."""
    if str(value_of(dataset, "PhotometricInterpretation")).strip() != "PALETTE COLOR":
        return None
    try:
        count, first, _ = (int(number) for number in dataset.RedPaletteColorLookupTableDescriptor)
        if number_of(dataset, "PixelRepresentation") == 1 and first >= 1 << 15:
            first -= 1 << 16
        indexes = np.arange(first, first + (count or 1 << 16), dtype=np.int32)
        colours = apply_color_lut(indexes, dataset)[:, :3]
    except (*BROKEN, IndexError):
        return None
    if colours.dtype != np.uint8:
        colours = (colours >> 8).astype(np.uint8)
    return Palette(first, np.ascontiguousarray(colours))


def padding_of(dataset: Dataset) -> tuple[float, float] | None:
    value, limit = number_of(dataset, "PixelPaddingValue"), number_of(dataset, "PixelPaddingRangeLimit")
    if value is None:
        return None
    return (value, value) if limit is None else (min(value, limit), max(value, limit))


def pixel_height_of(dataset: Dataset) -> float:
    """Pixel Aspect Ratio (C.7.6.3.1.7) is vertical to horizontal; 1 where it is absent or absurd."""
    ratio = value_of(dataset, "PixelAspectRatio")
    try:
        vertical, horizontal = (float(number) for number in ratio)
        height = vertical / horizontal
    except (TypeError, ValueError, ZeroDivisionError):
        return 1.0
    return height if 1 / MAXIMUM_ASPECT <= height <= MAXIMUM_ASPECT else 1.0


def overlays_of(dataset: Dataset, frame_index: int) -> tuple[tuple[Overlay, ...], tuple[int, ...]]:
    """Overlays with data of their own, and the bits of those that lie in unused bits of the pixels."""
    planes, bits = [], []
    for group in _overlay_groups(dataset):
        try:
            if (group, 0x3000) in dataset:
                overlay = _overlay(dataset, group, frame_index)
                if overlay is not None:
                    planes.append(overlay)
            elif int(dataset[group, 0x0100].value) > 1:
                bits.append(int(dataset[group, 0x0102].value))
        except (*BROKEN, IndexError):
            continue
    return tuple(planes), tuple(bits)


def _overlay_groups(dataset: Dataset) -> Iterator[int]:
    for group in range(0x6000, 0x6000 + 2 * MAXIMUM_OVERLAYS, 2):
        if (group, 0x0010) in dataset:
            yield group


def _overlay(dataset: Dataset, group: int, frame_index: int) -> Overlay | None:
    """The plane of this frame; None where the overlay covers other frames (C.9.2.1.4)."""

    def whole(element: int, default: int) -> int:
        return int(dataset[group, element].value or default) if (group, element) in dataset else default

    rows, columns = whole(0x0010, 0), whole(0x0011, 0)
    frames, first_frame = whole(0x0015, 1), whole(0x0051, 1) - 1
    index = frame_index - first_frame if (group, 0x0015) in dataset and frames > 1 else 0
    if not 0 <= index < frames or rows <= 0 or columns <= 0:
        return None
    top, left = (int(number) - 1 for number in dataset[group, 0x0050].value) if (group, 0x0050) in dataset else (0, 0)
    size = rows * columns
    data = np.frombuffer(dataset[group, 0x3000].value, np.uint8)
    first_octet = index * size // 8
    covering = np.unpackbits(data[first_octet : (index * size + size + 7) // 8], bitorder="little")
    plane = covering[index * size - 8 * first_octet :][:size]
    if plane.size != size:
        return None
    return Overlay(top, left, plane.reshape(rows, columns).astype(bool))
