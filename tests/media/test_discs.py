"""Each kind of disc gives the outcome that the design names (sharing by link, I1-I3, I5-I7)."""

import io
import shutil
import zipfile
from io import BytesIO

import pycdlib
import pydicom
import pytest
from disc_builder import ihe_pdi, write_dicomdir
from files import part10
from pydicom.data import get_testdata_file

from archive.media.files import MediumError, neutral_name
from archive.media.kinds import Kind, kind_of
from archive.media.zips import ZipLimits

SR, PDF = "1.2.840.10008.5.1.4.1.1.88.11", "1.2.840.10008.5.1.4.1.1.104.1"


def without_pixels(**values: object) -> bytes:
    dataset = pydicom.dcmread(BytesIO(part10(**values)))
    for keyword in ("PixelData", "Rows", "Columns"):
        del dataset[keyword]
    target = BytesIO()
    dataset.save_as(target)
    return target.getvalue()


def a_zip(path, entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("lower", [False, True], ids=["as IHE PDI says", "lower-case names"])
async def test_a_disc_with_a_dicomdir_is_taken_and_what_is_beside_it_is_counted(tmp_path, take_disc, lower):
    summary = await take_disc(ihe_pdi(tmp_path / "disc", lower=lower))
    assert (summary.images, summary.new, summary.skipped) == (2, 2, 3)
    assert (summary.refused, summary.missing, summary.unlisted) == ([], [], [])


async def test_a_second_import_is_nothing_new_and_nothing_changed(tmp_path, take_disc):
    disc = ihe_pdi(tmp_path / "disc")
    await take_disc(disc)
    again = await take_disc(disc)
    assert (again.new, again.already_there, again.refused) == (0, 2, [])


async def test_the_dicomdir_is_a_hint_and_both_differences_are_told(tmp_path, take_disc):
    disc = ihe_pdi(tmp_path / "disc")
    write_dicomdir(disc / "DICOMDIR", ["DICOM", "IM00001"], ["DICOM", "GONE"])
    summary = await take_disc(disc)
    assert summary.new == 2
    assert (summary.missing, summary.unlisted) == (["DICOM/GONE"], ["DICOM/IM00002"])


async def test_a_broken_dicomdir_is_named_and_the_files_are_taken(tmp_path, take_disc):
    disc = ihe_pdi(tmp_path / "disc")
    (disc / "DICOMDIR").write_bytes((disc / "DICOMDIR").read_bytes()[:300])
    summary = await take_disc(disc)
    assert summary.new == 2
    assert [name for name, _ in summary.refused] in ([], ["DICOMDIR"])


async def test_a_vendors_disc_without_dicomdir_is_found_by_content(tmp_path, take_disc):
    disc = tmp_path / "disc"
    (disc / "data" / "x y").mkdir(parents=True)
    (disc / "data" / "x y" / "Müller 山田.jpg").write_bytes(part10(PatientName="Müller^Jörg"))
    (disc / "viewer.exe").write_bytes(b"MZ\x90\0 a program")
    (disc / "AUTORUN.INF").write_bytes(b"[autorun]\nopen=viewer.exe")
    (disc / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    summary = await take_disc(disc)
    assert (summary.images, summary.skipped, summary.refused) == (1, 3, [])


@pytest.mark.parametrize("name", ["SC_rgb_jpeg_gdcm.dcm", "ExplVR_BigEnd.dcm", "SC_rgb_rle_2frame.dcm"])
async def test_old_and_compressed_encodings_and_multi_frame_are_taken(tmp_path, take_disc, name):
    disc = tmp_path / "disc"
    disc.mkdir()
    shutil.copy(str(get_testdata_file(name)), disc / "IM1")
    assert (await take_disc(disc)).images == 1


@pytest.mark.parametrize("sop_class", [SR, PDF], ids=["SR only", "PDF only"])
async def test_a_report_without_images_is_counted_as_a_report(tmp_path, take_disc, sop_class):
    disc = tmp_path / "disc"
    disc.mkdir()
    (disc / "R1").write_bytes(without_pixels(SOPClassUID=sop_class))
    summary = await take_disc(disc)
    assert (summary.images, summary.reports) == (0, 1)


async def test_what_cannot_be_read_is_named_each_with_its_reason_and_the_rest_is_taken(tmp_path, take_disc):
    disc = tmp_path / "disc"
    disc.mkdir()
    (disc / "good").write_bytes(part10())
    (disc / "cut").write_bytes(part10()[:-2])
    (disc / "empty").touch()
    (disc / "report.pdf").write_bytes(b"%PDF-1.7")
    (disc / "secret").write_bytes(b"\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03\xa0")
    (disc / "noise").write_bytes(bytes(range(256)) * 8)
    a_zip(disc / "inner", {"a": b"b"})
    summary = await take_disc(disc)
    assert summary.new == 1
    reasons = dict(summary.refused)
    assert "cut short" in reasons["cut"]
    assert "empty" in reasons["empty"]
    assert "plain PDF" in reasons["report.pdf"]
    assert "encrypted" in reasons["secret"]
    assert "not a DICOM file" in reasons["noise"]
    assert "packed archive" in reasons["inner"]


async def test_other_bytes_under_a_known_uid_are_refused_and_the_first_stay(tmp_path, take_disc):
    disc = tmp_path / "disc"
    disc.mkdir()
    (disc / "a").write_bytes(part10(SOPInstanceUID="1.2.9", PatientID="P1"))
    (disc / "b").write_bytes(part10(SOPInstanceUID="1.2.9", PatientID="P2"))
    summary = await take_disc(disc)
    assert summary.new == 1
    assert "other bytes" in summary.refused[0][1]


async def test_a_link_out_of_the_folder_is_not_followed(tmp_path, take_disc):
    disc = tmp_path / "disc"
    disc.mkdir()
    (tmp_path / "outside.dcm").write_bytes(part10())
    (disc / "link").symlink_to(tmp_path / "outside.dcm")
    assert (await take_disc(disc)).seen == 0


async def test_a_zip_is_read_and_names_that_lead_out_of_it_are_only_names(tmp_path, take_disc):
    entries = {"../../etc/evil": part10(), "C:\\Windows\\x": part10(), "/root/y": b"not dicom"}
    summary = await take_disc(a_zip(tmp_path / "disc.zip", entries))
    assert summary.images == 2
    assert summary.refused == [("root/y", "This is not a DICOM file.")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "disc.zip"]


async def test_a_zip_in_a_zip_is_refused_by_name(tmp_path, take_disc):
    inner = a_zip(tmp_path / "inner.zip", {"a": part10()}).read_bytes()
    summary = await take_disc(a_zip(tmp_path / "disc.zip", {"more.zip": inner, "im": part10()}))
    assert summary.new == 1
    assert "packed archive inside is not opened" in dict(summary.refused)["more.zip"]


async def test_a_zip_bomb_is_refused_and_its_neighbours_are_taken(tmp_path, take_disc):
    limits = ZipLimits(ratio_counts_from_bytes=1 << 16)
    disc = a_zip(tmp_path / "disc.zip", {"bomb": bytes(64 << 20), "im": part10()})
    summary = await take_disc(disc, limits)
    assert summary.new == 1
    assert "ZIP bomb" in dict(summary.refused)["bomb"]


async def test_a_zip_with_too_many_entries_or_too_much_in_it_is_refused_whole(tmp_path, take_disc):
    disc = a_zip(tmp_path / "disc.zip", {f"{number}": b"x" * 100 for number in range(20)})
    for limits in (ZipLimits(entries=10), ZipLimits(total_bytes=1000), ZipLimits(directory_bytes=100)):
        with pytest.raises(MediumError):
            await take_disc(disc, limits)


async def test_an_encrypted_entry_is_named(tmp_path, take_disc):
    disc = a_zip(tmp_path / "disc.zip", {"im": part10()}, zipfile.ZIP_STORED)
    data = bytearray(disc.read_bytes())
    data[6] |= 1
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    disc.write_bytes(data)
    summary = await take_disc(disc)
    assert "encrypted with a password" in dict(summary.refused)["im"]


async def test_a_damaged_entry_is_named_and_a_zip_that_is_cut_is_refused(tmp_path, take_disc):
    disc = a_zip(tmp_path / "disc.zip", {"im": part10(), "other": part10()}, zipfile.ZIP_STORED)
    data = bytearray(disc.read_bytes())
    at = data.find(b"DICM")
    data[at + 200] ^= 0xFF
    disc.write_bytes(data)
    summary = await take_disc(disc)
    assert summary.new == 1
    assert "damaged" in dict(summary.refused)["im"]
    disc.write_bytes(data[: len(data) // 2])
    with pytest.raises(MediumError, match="cut short"):
        await take_disc(disc)


@pytest.mark.parametrize("names", ["plain", "joliet"])
async def test_an_iso_image_is_read_with_its_dicomdir(tmp_path, take_disc, names):
    folder = ihe_pdi(tmp_path / "disc")
    image = pycdlib.PyCdlib()
    image.new(joliet=3 if names == "joliet" else None)
    joliet = (lambda path: {"joliet_path": path}) if names == "joliet" else (lambda path: {})
    image.add_directory("/DICOM", **joliet("/DICOM"))
    for name in ("DICOMDIR", "DICOM/IM00001", "DICOM/IM00002"):
        data = (folder / name).read_bytes()
        image.add_fp(io.BytesIO(data), len(data), f"/{name}.;1", **joliet(f"/{name}"))
    image.write(str(tmp_path / "disc.iso"))
    image.close()
    summary = await take_disc(tmp_path / "disc.iso")
    assert (summary.images, summary.refused, summary.missing, summary.unlisted) == (2, [], [], [])


async def test_an_iso_image_that_is_cut_short_is_refused(tmp_path, take_disc):
    (tmp_path / "disc.iso").write_bytes(bytes(32_769) + b"CD001" + bytes(500))
    with pytest.raises(MediumError):
        await take_disc(tmp_path / "disc.iso")


def test_content_decides_and_not_the_name():
    assert kind_of("index.html", part10()) is Kind.DICOM
    assert kind_of("IM1", b"<HTML>") is Kind.BESIDE
    assert kind_of("IM1", b"") is Kind.EMPTY


@pytest.mark.parametrize(
    ("name", "shown"), [("../../a/b", "a/b"), ("C:\\x\\y", "x/y"), ("\x1b[31mred", "\ufffd[31mred")]
)
def test_names_from_a_medium_are_neutralised(name, shown):
    assert neutral_name(name) == shown
