"""Reads the drawing attributes of a stored file with pydicom, in the worker, up to the pixel data."""

import warnings
from collections import OrderedDict

import pydicom
from pydicom.dataset import Dataset

from archive.errors import StoreError, UnprocessableError
from wado.pixels.drawing_elements import (
    BROKEN_FILE,
    is_inverted,
    lut_of,
    macro_of,
    number_of,
    overlays_of,
    padding_of,
    palette_of,
    pixel_height_of,
    value_of,
    window_of,
)
from wado.pixels.presentation import Presentation
from wado.pixels.states import in_state, shutter_of

REMEMBERED_FILES = 8


class PresentationReader:
    """Reads presentations; the last files stay parsed, since the frames of one are drawn one after another."""

    def __init__(self) -> None:
        self._datasets: OrderedDict[str, Dataset] = OrderedDict()

    def read(self, path: str, frame_index: int, state_path: str | None = None) -> Presentation:
        """How a frame (0-based) of a file is drawn, in the presentation state of another. What is broken is left out.

        Raises
        ------
        UnprocessableError
            pydicom cannot read the file at all.
        StoreError
            The file is missing.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is odd was told when the instance was stored
            dataset = self._dataset(path)
            presentation = _presentation(dataset, frame_index)
            if state_path is None:
                return presentation
            return in_state(presentation, self._dataset(state_path), dataset, frame_index)

    def _dataset(self, path: str) -> Dataset:
        if path in self._datasets:
            self._datasets.move_to_end(path)
            return self._datasets[path]
        try:
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
        except OSError:
            raise StoreError("The file of this instance cannot be read.") from None
        except BROKEN_FILE:
            raise UnprocessableError("The attributes of this instance cannot be read for drawing.") from None
        self._datasets[path] = dataset
        if len(self._datasets) > REMEMBERED_FILES:
            self._datasets.popitem(last=False)
        return dataset


def _presentation(dataset: Dataset, frame_index: int) -> Presentation:
    rescaled = macro_of(dataset, "PixelValueTransformationSequence", frame_index)
    voi = macro_of(dataset, "FrameVOILUTSequence", frame_index)
    signed = number_of(dataset, "PixelRepresentation") == 1
    slope, intercept = number_of(rescaled, "RescaleSlope"), number_of(rescaled, "RescaleIntercept")
    overlays, overlay_bits = overlays_of(dataset, frame_index)
    profile = value_of(dataset, "ICCProfile")
    return Presentation(
        slope=1.0 if slope is None else slope,
        intercept=intercept or 0.0,
        modality_lut=lut_of(dataset, "ModalityLUTSequence", signed=signed),
        window=window_of(voi),
        voi_lut=lut_of(voi, "VOILUTSequence", signed=signed or (intercept or 0.0) < 0),
        inverted=is_inverted(dataset),
        palette=palette_of(dataset),
        overlays=overlays,
        overlay_bits=overlay_bits,
        padding=padding_of(dataset),
        pixel_height=pixel_height_of(dataset),
        icc_profile=profile if isinstance(profile, bytes) and profile else None,
        frame_ms=number_of(dataset, "FrameTime"),
        shutter=shutter_of(dataset),
    )
