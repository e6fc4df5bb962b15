"""What a dataset says of how its pixels are drawn (PS3.3 C.7.6.3, C.7.6.16, C.9, C.11), as plain values."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi

from archive.errors import UnprocessableError
from wado.pixels.decode import Samples
from wado.pixels.parameters import Window, WindowShape

_SHAPES = {"LINEAR": WindowShape.LINEAR, "LINEAR_EXACT": WindowShape.LINEAR_EXACT, "SIGMOID": WindowShape.SIGMOID}
MAXIMUM_OVERLAYS = 16


@dataclass(frozen=True, slots=True)
class Presentation:
    """Read once for each picture, up to the pixel data. `frame_index` chooses the functional groups."""

    dataset: Dataset
    frame_index: int

    @classmethod
    def read(cls, path: str, frame_index: int) -> "Presentation":
        """Read the attributes of a stored file. Raises UnprocessableError when pydicom cannot read it."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return cls(pydicom.dcmread(path, stop_before_pixels=True, defer_size=1 << 20), frame_index)
        except (pydicom.errors.InvalidDicomError, OSError, ValueError, KeyError, AttributeError, TypeError):
            raise UnprocessableError("The attributes of this instance cannot be read for drawing.") from None

    def _macro(self, sequence: str) -> Dataset:
        """The item of a functional group macro for this frame: its own, else the shared one, else the dataset."""
        groups = []
        per_frame = self.dataset.get("PerFrameFunctionalGroupsSequence") or []
        if self.frame_index < len(per_frame):
            groups.append(per_frame[self.frame_index])
        groups += list(self.dataset.get("SharedFunctionalGroupsSequence") or [])[:1]
        for group in groups:
            items = group.get(sequence)
            if items:
                found: Dataset = items[0]
                return found
        return self.dataset

    def modality_values(self, samples: Samples) -> Samples:
        """Stored values → modality values: LUT sequence, or rescale slope and intercept."""
        if self.dataset.get("ModalityLUTSequence"):
            looked_up: Samples = apply_modality_lut(samples, self.dataset)
            return looked_up
        macro = self._macro("PixelValueTransformationSequence")
        slope, intercept = _real(macro.get("RescaleSlope")), _real(macro.get("RescaleIntercept"))
        if (slope is None or slope == 1.0) and not intercept:
            return samples.astype(np.float32)
        return samples.astype(np.float32) * np.float32(1.0 if slope is None else slope) + np.float32(intercept or 0.0)

    def window(self) -> Window | None:
        """The first window of the dataset or of the frame's VOI LUT macro."""
        macro = self._macro("FrameVOILUTSequence")
        center, width = _real(macro.get("WindowCenter")), _real(macro.get("WindowWidth"))
        if center is None or width is None or width <= 0:
            return None
        return Window(center, width, _SHAPES.get(str(macro.get("VOILUTFunction") or "LINEAR"), WindowShape.LINEAR))

    @property
    def has_voi_lut(self) -> bool:
        return bool(self.dataset.get("VOILUTSequence"))

    def voi_values(self, values: Samples) -> tuple[Samples, float]:
        """Modality values through the first VOI LUT, and the largest value that it can give."""
        item = self.dataset.VOILUTSequence[0]
        bits = int(item.LUTDescriptor[2])
        looked_up: Samples = apply_voi(np.rint(values).astype(np.int32), self.dataset, 0)
        return looked_up.astype(np.float32), float((1 << bits) - 1)

    @property
    def is_inverted(self) -> bool:
        """Whether the smallest value is white."""
        shape = str(self.dataset.get("PresentationLUTShape") or "")
        if shape:
            return shape == "INVERSE"
        return str(self.dataset.get("PhotometricInterpretation")) == "MONOCHROME1"

    @property
    def has_palette(self) -> bool:
        return str(self.dataset.get("PhotometricInterpretation")) == "PALETTE COLOR"

    def coloured(self, samples: Samples) -> Samples:
        """Palette indexes → (rows, columns, 3) of 8 bits; plain and segmented palettes."""
        colours = apply_color_lut(samples, self.dataset)[..., :3]
        if colours.dtype != np.uint8:
            colours = (colours >> 8).astype(np.uint8)
        result: Samples = colours
        return result

    @property
    def padding(self) -> tuple[float, float] | None:
        """Range of stored values that are no image (0028,0120), (0028,0121)."""
        value = _real(self.dataset.get("PixelPaddingValue"))
        if value is None:
            return None
        limit = _real(self.dataset.get("PixelPaddingRangeLimit"))
        return (value, value) if limit is None else (min(value, limit), max(value, limit))

    def overlays(self, shape: tuple[int, ...]) -> Samples | None:
        """Pixels that the overlays of this frame (60xx) cover, as booleans; None where there is none."""
        covered: Samples | None = None
        for group in range(0x6000, 0x6000 + 2 * MAXIMUM_OVERLAYS, 2):
            if (group, 0x3000) not in self.dataset:
                continue
            plane = self._overlay(group, shape)
            if plane is not None:
                covered = plane if covered is None else covered | plane
        return covered

    def _overlay(self, group: int, shape: tuple[int, ...]) -> Samples | None:
        try:
            rows, columns = int(self.dataset[group, 0x0010].value), int(self.dataset[group, 0x0011].value)
            origin = self.dataset.get((group, 0x0050))
            top, left = (int(value) - 1 for value in (origin.value if origin is not None else (1, 1)))
            data = self.dataset[group, 0x3000].value
            bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
        except (KeyError, ValueError, TypeError):
            return None
        frames = self.dataset.get((group, 0x0015))
        index = self.frame_index if frames is not None and int(frames.value) > 1 else 0
        plane = bits[index * rows * columns : (index + 1) * rows * columns]
        if plane.size != rows * columns or rows * columns == 0:
            return None
        covered = np.zeros(shape[:2], bool)
        part = plane.reshape(rows, columns).astype(bool)[max(0, -top) :, max(0, -left) :]
        top, left = max(0, top), max(0, left)
        part = part[: max(0, shape[0] - top), : max(0, shape[1] - left)]
        covered[top : top + part.shape[0], left : left + part.shape[1]] = part
        return covered


def _real(value: Any) -> float | None:
    """The first value of a numeric element as a float; None where there is none."""
    try:
        first = value[0] if isinstance(value, (list, pydicom.multival.MultiValue)) else value
        number = float(first)
    except (TypeError, ValueError, IndexError):
        return None
    return number if np.isfinite(number) else None
