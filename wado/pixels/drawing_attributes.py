"""Reads the drawing attributes of a stored file with pydicom, in the worker, up to the pixel data."""

import struct
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.pixels.processing import apply_color_lut

from archive.errors import StoreError, UnprocessableError
from wado.pixels.parameters import Window, WindowShape
from wado.pixels.presentation import Lut, Overlay, Palette, Presentation

REMEMBERED_FILES = 8
MAXIMUM_OVERLAYS = 16
MAXIMUM_ASPECT = 16.0
_SHAPES = {"LINEAR": WindowShape.LINEAR, "LINEAR_EXACT": WindowShape.LINEAR_EXACT, "SIGMOID": WindowShape.SIGMOID}
_BROKEN = (InvalidDicomError, ValueError, KeyError, AttributeError, TypeError, NotImplementedError, struct.error)
_BROKEN_FILE = (*_BROKEN, EOFError, RecursionError, IndexError)


class PresentationReader:
    """Reads presentations; the last files stay parsed, since the frames of one are drawn one after another."""

    def __init__(self) -> None:
        self._datasets: OrderedDict[str, Dataset] = OrderedDict()

    def read(self, path: str, frame_index: int) -> Presentation:
        """How a frame (0-based) of a file is drawn. What is broken in it is left out.

        Raises
        ------
        UnprocessableError
            pydicom cannot read the file at all.
        StoreError
            The file is missing.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is odd was told when the instance was stored
            return _presentation(self._dataset(path), frame_index)

    def _dataset(self, path: str) -> Dataset:
        if path in self._datasets:
            self._datasets.move_to_end(path)
            return self._datasets[path]
        try:
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
        except OSError:
            raise StoreError("The file of this instance cannot be read.") from None
        except _BROKEN_FILE:
            raise UnprocessableError("The attributes of this instance cannot be read for drawing.") from None
        self._datasets[path] = dataset
        if len(self._datasets) > REMEMBERED_FILES:
            self._datasets.popitem(last=False)
        return dataset


def _presentation(dataset: Dataset, frame_index: int) -> Presentation:
    rescaled = _macro(dataset, "PixelValueTransformationSequence", frame_index)
    voi = _macro(dataset, "FrameVOILUTSequence", frame_index)
    signed = _number(dataset, "PixelRepresentation") == 1
    slope, intercept = _number(rescaled, "RescaleSlope"), _number(rescaled, "RescaleIntercept")
    overlays, overlay_bits = _overlays(dataset, frame_index)
    profile = _value(dataset, "ICCProfile")
    return Presentation(
        slope=1.0 if slope is None else slope,
        intercept=intercept or 0.0,
        modality_lut=_lut(dataset, "ModalityLUTSequence", signed=signed),
        window=_window(voi),
        voi_lut=_lut(voi, "VOILUTSequence", signed=signed or (intercept or 0.0) < 0),
        inverted=_is_inverted(dataset),
        palette=_palette(dataset),
        overlays=overlays,
        overlay_bits=overlay_bits,
        padding=_padding(dataset),
        pixel_height=_pixel_height(dataset),
        icc_profile=profile if isinstance(profile, bytes) and profile else None,
        frame_ms=_number(dataset, "FrameTime"),
    )


def _macro(dataset: Dataset, sequence: str, frame_index: int) -> Dataset:
    """The item of a functional group for this frame: its own, else the shared one, else the dataset itself."""
    for groups, index in (("PerFrameFunctionalGroupsSequence", frame_index), ("SharedFunctionalGroupsSequence", 0)):
        items = _value(dataset, groups)
        if items and index < len(items):
            found = _value(items[index], sequence)
            if found:
                item: Dataset = found[0]
                return item
    return dataset


def _value(dataset: Dataset, keyword: str) -> Any:
    """The value of an element; None where it is absent or cannot be read."""
    try:
        return dataset.get(keyword)
    except _BROKEN_FILE:
        return None


def _number(dataset: Dataset, keyword: str) -> float | None:
    """The first value of an element, finite."""
    value = _value(dataset, keyword)
    try:
        number = float(value[0] if isinstance(value, (list, MultiValue)) else value)
    except (TypeError, ValueError, IndexError):
        return None
    return number if np.isfinite(number) else None


def _window(voi: Dataset) -> Window | None:
    center, width = _number(voi, "WindowCenter"), _number(voi, "WindowWidth")
    if center is None or width is None or width <= 0:
        return None
    shape = _SHAPES.get(str(_value(voi, "VOILUTFunction") or "LINEAR").strip(), WindowShape.LINEAR)
    return Window(center, width, shape)


def _lut(dataset: Dataset, sequence: str, *, signed: bool) -> Lut | None:
    """The first item of a LUT sequence; `signed` tells how its first mapped value is to be read."""
    items = _value(dataset, sequence)
    if not items:
        return None
    try:
        count, first, bits = (int(number) for number in items[0].LUTDescriptor)
        entries = _entries(items[0].LUTData, count or 1 << 16)
    except _BROKEN:
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


def _is_inverted(dataset: Dataset) -> bool:
    """Whether the smallest value is white (PS3.3 C.11.6, C.7.6.3.1.2)."""
    shape = str(_value(dataset, "PresentationLUTShape") or "").strip()
    if shape:
        return shape == "INVERSE"
    return str(_value(dataset, "PhotometricInterpretation")).strip() == "MONOCHROME1"


def _palette(dataset: Dataset) -> Palette | None:
    """Plain and segmented palettes, as one table of 8-bit colours."""
    if str(_value(dataset, "PhotometricInterpretation")).strip() != "PALETTE COLOR":
        return None
    try:
        count, first, _ = (int(number) for number in dataset.RedPaletteColorLookupTableDescriptor)
        if _number(dataset, "PixelRepresentation") == 1 and first >= 1 << 15:
            first -= 1 << 16
        indexes = np.arange(first, first + (count or 1 << 16), dtype=np.int32)
        colours = apply_color_lut(indexes, dataset)[:, :3]
    except (*_BROKEN, IndexError):
        return None
    if colours.dtype != np.uint8:
        colours = (colours >> 8).astype(np.uint8)
    return Palette(first, np.ascontiguousarray(colours))


def _padding(dataset: Dataset) -> tuple[float, float] | None:
    value, limit = _number(dataset, "PixelPaddingValue"), _number(dataset, "PixelPaddingRangeLimit")
    if value is None:
        return None
    return (value, value) if limit is None else (min(value, limit), max(value, limit))


def _pixel_height(dataset: Dataset) -> float:
    """Pixel Aspect Ratio (C.7.6.3.1.7) is vertical to horizontal; 1 where it is absent or absurd."""
    ratio = _value(dataset, "PixelAspectRatio")
    try:
        vertical, horizontal = (float(number) for number in ratio)
        height = vertical / horizontal
    except (TypeError, ValueError, ZeroDivisionError):
        return 1.0
    return height if 1 / MAXIMUM_ASPECT <= height <= MAXIMUM_ASPECT else 1.0


def _overlays(dataset: Dataset, frame_index: int) -> tuple[tuple[Overlay, ...], tuple[int, ...]]:
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
        except (*_BROKEN, IndexError):
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
