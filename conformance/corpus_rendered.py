"""Images whose picture is known: a ramp under a known window, colour patches, inverted greys, a palette."""

from __future__ import annotations

import numpy as np

from conformance.samples import Sample, Study, instance_of, new_uid, ramp, sample_of, set_pixels

RAMP_STEP, RAMP_SIDE = 1, 32
WINDOW_CENTER, WINDOW_WIDTH = 512, 512


def ramp_pixels() -> np.ndarray:
    """Give the 32 x 32 ramp of 0…1023."""
    return ramp(RAMP_SIDE, RAMP_SIDE, "<u2", step=RAMP_STEP)


def rendered_samples(token: str) -> list[Sample]:
    study = Study(f"{token}-R", f"Render{token}^Rita", new_uid(), {"AccessionNumber": f"{token}R"})
    return [*_greys(study), _colour(study), _palette(study), _frames(study)]


def _greys(study: Study) -> list[Sample]:
    made = []
    for name, photometric in (("ramp", "MONOCHROME2"), ("ramp-inverted", "MONOCHROME1"), ("ramp-rescaled", "")):
        dataset = instance_of(study)
        set_pixels(dataset, ramp_pixels(), photometric=photometric or "MONOCHROME2")
        dataset.BitsStored, dataset.HighBit = 12, 11
        dataset.WindowCenter, dataset.WindowWidth = str(WINDOW_CENTER), str(WINDOW_WIDTH)
        if not photometric:
            dataset.RescaleSlope, dataset.RescaleIntercept = "2", "-1000"
            dataset.WindowCenter = str(2 * WINDOW_CENTER - 1000)
            dataset.WindowWidth = str(2 * WINDOW_WIDTH)
        made.append(sample_of(name, dataset))
    return made


def colour_pixels() -> np.ndarray:
    """Give four 8 x 8 patches: red, green, blue, grey."""
    array = np.zeros((16, 16, 3), "u1")
    array[:8, :8] = (255, 0, 0)
    array[:8, 8:] = (0, 255, 0)
    array[8:, :8] = (0, 0, 255)
    array[8:, 8:] = (128, 128, 128)
    return array


def _colour(study: Study) -> Sample:
    dataset = instance_of(study)
    set_pixels(dataset, colour_pixels(), photometric="RGB")
    return sample_of("colour", dataset)


def _palette(study: Study) -> Sample:
    """Four patches through a palette of four colours: the same picture as `colour_pixels`."""
    index = np.zeros((16, 16), "u1")
    index[:8, 8:], index[8:, :8], index[8:, 8:] = 1, 2, 3
    dataset = instance_of(study)
    set_pixels(dataset, index, photometric="PALETTE COLOR")
    tables = {"Red": (255, 0, 0, 128), "Green": (0, 255, 0, 128), "Blue": (0, 0, 255, 128)}
    for colour, values in tables.items():
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [4, 0, 16])
        words = np.array([value * 257 for value in values], "<u2")
        setattr(dataset, f"{colour}PaletteColorLookupTableData", words.tobytes())
    return sample_of("palette", dataset)


def _frames(study: Study) -> Sample:
    """Three frames of one grey each: 0, 128, 255."""
    array = np.stack([np.full((16, 16), grey, "u1") for grey in (0, 128, 255)])
    dataset = instance_of(study)
    set_pixels(dataset, array, frames=3)
    dataset.WindowCenter, dataset.WindowWidth = "128", "256"
    dataset.FrameTime = "100"
    return sample_of("cine", dataset)
