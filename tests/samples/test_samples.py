"""The samples: a head that any DICOM reader takes for a CT, and pydicom's own files."""

import io
import itertools

import numpy as np
import pydicom
import pytest
from pydicom.uid import UID

from archive.samples import PHANTOM_STUDY_UID, head_phantom, sample_files
from archive.samples.head import BLOOD_HU, LESION, OEDEMA_HU


@pytest.fixture(scope="module")
def series() -> list[pydicom.Dataset]:
    """The phantom at a quarter of its resolution; the anatomy is the same."""
    return [pydicom.dcmread(io.BytesIO(part10)) for part10 in head_phantom(rows=128)]


@pytest.fixture(scope="module")
def volume(series: list[pydicom.Dataset]) -> np.ndarray:
    return np.stack([one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept) for one in series])


def hu_at(series: list[pydicom.Dataset], volume: np.ndarray, point_mm: tuple[float, float, float]) -> float:
    """Mean over 3 x 3 pixels at a point of the patient, found by the geometry that the files declare."""
    heights = [abs(float(one.ImagePositionPatient[2]) - point_mm[2]) for one in series]
    index = int(np.argmin(heights))
    origin, spacing = series[index].ImagePositionPatient, series[index].PixelSpacing
    column = round((point_mm[0] - float(origin[0])) / float(spacing[1]))
    row = round((point_mm[1] - float(origin[1])) / float(spacing[0]))
    return float(volume[index, row - 1 : row + 2, column - 1 : column + 2].mean())


def test_the_phantom_is_one_series_of_sixty_axial_ct_slices(series: list[pydicom.Dataset]) -> None:
    assert len(series) == 60
    assert {one.StudyInstanceUID for one in series} == {PHANTOM_STUDY_UID}
    assert len({one.SeriesInstanceUID for one in series}) == len({one.FrameOfReferenceUID for one in series}) == 1
    assert len({one.SOPInstanceUID for one in series}) == 60
    assert {(one.Modality, str(one.PatientName), one.StudyDescription) for one in series} == {
        ("CT", "PHANTOM^HEAD", "CT head (synthetic phantom)")
    }
    assert all(UID(one.SOPInstanceUID).is_valid and one.SOPInstanceUID.startswith("2.25.") for one in series)


def test_the_slices_lie_one_above_the_other_at_the_declared_spacing(series: list[pydicom.Dataset]) -> None:
    heights = [float(one.ImagePositionPatient[2]) for one in series]
    steps = [upper - lower for lower, upper in itertools.pairwise(heights)]
    assert steps == pytest.approx([float(series[0].SliceThickness)] * 59, abs=1e-3)
    assert [int(one.InstanceNumber) for one in series] == list(range(1, 61))
    assert float(series[0].PixelSpacing[0]) * series[0].Rows == pytest.approx(240, abs=1e-3)


def test_the_first_window_is_the_brain_window(series: list[pydicom.Dataset]) -> None:
    assert (series[0].WindowCenter[0], series[0].WindowWidth[0]) == (40, 80)


@pytest.mark.parametrize(
    ("place", "point_mm", "hu", "tolerance_hu"),
    [
        ("air beside the head", (105.0, -60.0, 40.0), -1000, 8),
        ("the bleeding", LESION.centre, BLOOD_HU, 5),
        ("the swelling around it", (30.0, 14.0, 57.0), OEDEMA_HU, 8),
        ("a lateral ventricle", (11.0, -22.0, 32.0), 6, 6),
        ("white matter", (-30.0, 14.0, 48.0), 28, 6),
        ("the left eye", (31.0, -68.0, -20.0), 8, 6),
        ("a maxillary sinus", (26.0, -60.0, -48.0), -1000, 8),
        ("the nasal cavity", (6.0, -70.0, -30.0), -1000, 150),
        ("the throat", (0.0, -14.0, -80.0), -1000, 8),
    ],
)
def test_the_tissues_have_their_hounsfield_units(
    series: list[pydicom.Dataset],
    volume: np.ndarray,
    place: str,
    point_mm: tuple[float, float, float],
    hu: float,
    tolerance_hu: float,
) -> None:
    assert hu_at(series, volume, point_mm) == pytest.approx(hu, abs=tolerance_hu), place


def test_the_brain_is_closed_in_by_bone(series: list[pydicom.Dataset], volume: np.ndarray) -> None:
    index = int(np.argmin([abs(float(one.ImagePositionPatient[2]) - 40) for one in series]))
    middle = volume[index, 64]
    bone = np.flatnonzero(middle > 300)
    assert bone[0] < 40
    assert bone[-1] > 88
    inside = middle[45:83]
    assert (inside > -50).all()
    assert (inside < 150).all()


def test_the_head_has_a_left_and_a_right_side(volume: np.ndarray) -> None:
    bleeding = (volume[35:45] > 50) & (volume[35:45] < 85)
    left, right = bleeding[:, 40:90, 66:100].sum(), bleeding[:, 40:90, 28:62].sum()
    assert left > 4 * right


def test_the_same_arguments_give_the_same_bytes() -> None:
    first, second = (list(head_phantom(slices=2, rows=64)) for _ in range(2))
    assert first == second


def test_another_size_of_phantom_is_other_instances() -> None:
    small, large = (pydicom.dcmread(io.BytesIO(next(head_phantom(slices=2, rows=rows)))) for rows in (32, 64))
    assert small.SOPInstanceUID != large.SOPInstanceUID


@pytest.mark.parametrize(("slices", "rows"), [(0, 512), (60, 8)])
def test_a_phantom_without_pixels_is_refused(slices: int, rows: int) -> None:
    with pytest.raises(ValueError, match="at least 1 slice"):
        next(head_phantom(slices=slices, rows=rows))


def test_the_sample_files_are_whole_and_no_instance_comes_twice() -> None:
    found = [pydicom.dcmread(path, stop_before_pixels=True) for path in sample_files()]
    assert len(found) >= 40
    assert len({one.SOPInstanceUID for one in found}) == len(found)
    for one in found:
        assert one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID
        assert one.file_meta.TransferSyntaxUID
        assert one.StudyInstanceUID
        assert one.SeriesInstanceUID


def test_the_sample_files_show_many_transfer_syntaxes_and_kinds_of_object() -> None:
    found = [pydicom.dcmread(path, stop_before_pixels=True) for path in sample_files()]
    assert len({one.file_meta.TransferSyntaxUID for one in found}) >= 8
    assert {"CT", "MR", "US", "SR", "SEG", "ECG", "RTDOSE"} <= {one.get("Modality") for one in found}
