"""What is missing is found, and what is whole is not called broken."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from databases import settings_at
from disc_builder import ihe_pdi, write_dicomdir
from files import part10
from servers import lightbox

from archive.cli.opening import open_archive
from archive.completeness.findings import Finding, Lack, Picture, SeriesFacts, findings_of_series
from archive.completeness.record import (
    announce,
    changed_studies,
    check_and_keep,
    check_study,
    keep_checked,
    last_seen_ms,
    read_findings,
)

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def stack(places, *, modality="CT", orientation=AXIAL, announced=0) -> SeriesFacts:
    pictures = [
        Picture(number, (0.0, 0.0, place), orientation, announced=announced) for number, place in enumerate(places, 1)
    ]
    return SeriesFacts("Axial", modality, len(pictures), tuple(pictures))


def numbered(numbers, modality="CT") -> SeriesFacts:
    return SeriesFacts("Axial", modality, len(numbers), tuple(Picture(number) for number in numbers))


def test_an_even_stack_is_whole():
    assert findings_of_series(stack([5.0 * number for number in range(20)])) == []


def test_slices_left_out_of_an_even_stack_are_counted():
    places = [2.5 * number for number in range(30) if number not in (7, 8, 20)]
    assert findings_of_series(stack(places)) == [Finding(Lack.GAP_POSITION, 3, "Axial")]


def test_slices_of_many_spacings_are_not_called_gaps():
    assert findings_of_series(stack([0, 1, 3, 7, 8, 20, 21, 40, 44])) == []


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_positions_that_are_no_numbers_are_not_looked_at(odd):
    assert findings_of_series(stack([odd, 0.0, 5.0, 10.0, 15.0, 20.0])) == []


def test_numbers_left_out_count_where_positions_say_nothing():
    assert findings_of_series(numbered([1, 2, 3, 6, 7])) == [Finding(Lack.GAP_NUMBER, 2, "Axial")]


@pytest.mark.parametrize("numbers", [[1, 11, 21, 31, 41], [1, 2], [10, 11, 12, 13]])
def test_numbers_in_steps_or_from_another_start_are_not_gaps(numbers):
    assert findings_of_series(numbered(numbers)) == []


def test_numbers_of_radiographs_mean_nothing():
    assert findings_of_series(numbered([1, 2, 3, 6, 7], "CR")) == []


def test_a_series_shorter_than_its_sender_said_is_cut_short():
    series = stack([5.0 * number for number in range(6)], announced=10)
    assert findings_of_series(series) == [Finding(Lack.CUT_SHORT, 4, "Axial")]


@pytest.mark.parametrize("orientation", [(0.0,) * 6, (float("nan"),) * 6, (), (1.0,)])
def test_nonsense_orientations_are_not_looked_at(orientation):
    assert findings_of_series(stack([1, 2, 3, 4, 9], orientation=orientation)) == []


def ct_disc(folder: Path, left_out: tuple[int, ...]) -> Path:
    folder.mkdir()
    for number in range(12):
        if number not in left_out:
            data = part10(InstanceNumber=number + 1, ImagePositionPatient=[0, 0, 5 * number],
                          ImageOrientationPatient=list(AXIAL), SeriesDescription="Axial")  # fmt: skip
            (folder / f"IM{number}").write_bytes(data)
    return folder


def imported(data: Path, disc: Path) -> str:
    return lightbox("import", "--data", str(data), str(disc))


async def test_an_import_says_which_slices_are_missing_and_the_next_disc_heals_it(tmp_path):
    told = imported(tmp_path / "data", ct_disc(tmp_path / "one", (5, 6)))
    assert "2 slices seem to be missing within the series “Axial”" in told
    rest = tmp_path / "two"
    told = imported(tmp_path / "data", ct_disc(rest, (0, 1, 2)))
    assert "missing" not in told


async def test_a_report_alone_is_told(tmp_path):
    dataset = pydicom.dcmread(BytesIO(part10(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11")))
    del dataset.PixelData
    dataset.save_as(tmp_path / "report")
    assert "There is a report, but there are no images." in imported(tmp_path / "data", tmp_path / "report")


async def test_what_a_dicomdir_lists_is_missed_until_it_comes(tmp_path):
    disc = ihe_pdi(tmp_path / "disc")
    write_dicomdir(disc / "DICOMDIR", ["DICOM", "IM00001"])
    imported(tmp_path / "data", disc)
    async with open_archive(settings_at(tmp_path / "data")) as archive:
        await archive.database.write_batch(announce, [("1.2.3", "1.2.3.4", "9.9.9")] * 2, 1)
        assert await archive.database.read(read_findings, "1.2.3") == [Finding(Lack.ANNOUNCED, 1)]
    (tmp_path / "late").write_bytes(part10(SOPInstanceUID="9.9.9"))
    imported(tmp_path / "data", tmp_path / "late")
    async with open_archive(settings_at(tmp_path / "data")) as archive:
        assert await archive.database.read(read_findings, "1.2.3") == []


async def test_a_study_is_looked_at_once_after_it_was_quiet(tmp_path):
    async with open_archive(settings_at(tmp_path / "data")) as archive:
        upload = archive.ingest.begin()
        await upload.write(part10())
        await archive.ingest.index([await upload.finish(study_uid=None, by="test")])
        stored_ms = await archive.database.read(last_seen_ms)
        assert await archive.database.read(changed_studies, 0, stored_ms - 1) == [], "It is not quiet yet."
        assert await archive.database.read(changed_studies, stored_ms, stored_ms) == ["1.2.3"]
        await check_and_keep(archive.database, "1.2.3", stored_ms)
        assert await archive.database.read(changed_studies, 0, stored_ms) == []


async def test_what_was_found_earlier_does_not_replace_what_was_found_later(tmp_path):
    async with open_archive(settings_at(tmp_path / "data")) as archive:

        async def store() -> None:
            upload = archive.ingest.begin()
            await upload.write(part10())
            await archive.ingest.index([await upload.finish(study_uid=None, by="test")])

        await store()
        early = await archive.database.read(check_study, "1.2.3")
        await store()
        stored_ms = await archive.database.read(last_seen_ms)
        await check_and_keep(archive.database, "1.2.3", stored_ms)
        await archive.database.write(keep_checked, replace(early, seen_ms=early.seen_ms - 1), stored_ms)
        assert await archive.database.read(changed_studies, 0, stored_ms) == []
