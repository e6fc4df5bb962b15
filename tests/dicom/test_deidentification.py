"""PS3.15 Annex E: every row of the table does to a file what it says, in every syntax, and nothing leads back."""

import io
import re
import struct
from typing import Any

import pydicom
import pytest
from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as oracle
from files import part10, real_files
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from archive.dicom.burned_in import Exclusion, exclusion_of
from archive.dicom.confidentiality import profile_actions
from archive.dicom.deidentification import METHOD, deidentify
from archive.dicom.pseudonyms import Pseudonyms
from archive.errors import RefusedInstanceError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
PSEUDONYMS = Pseudonyms(b"k" * 32)
OF_THE_TABLE = {
    "X": "X_TAGS",
    "Z": "Z_TAGS",
    "D": "D_TAGS",
    "U": "U_TAGS",
    "X/Z": "X_Z_TAGS",
    "X/D": "X_D_TAGS",
    "Z/D": "Z_D_TAGS",
    "X/Z/D": "X_Z_D_TAGS",
    "X/Z/U*": "X_Z_U_STAR_TAGS",
}
TEXT = "Zzyzx"
"""Stands in every text; must be in none afterwards."""
VALUES: dict[str, Any] = {
    "AS": "045Y",
    "DA": "20240131",
    "TM": "101112",
    "DT": "20240131101112",
    "DS": "4711",
    "IS": "4711",
    "UI": "1.2.3.4711",
    "AT": 0x00100010,
    **dict.fromkeys(("OB", "OW", "UN", "OF", "OD", "OL", "OV"), b"ZzyzxZzyzxZzyzx!"),
    **dict.fromkeys(("US", "UL", "SL", "SS", "UV", "SV"), 4711),
    **dict.fromkeys(("FL", "FD"), 4711.0),
}


def done(data: bytes, pseudonyms: Pseudonyms = PSEUDONYMS) -> bytes:
    return b"".join(deidentify(data, pseudonyms).blocks())


def read(data: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(data))


def known_vr(tag: int) -> str:
    """VR by pydicom; what it does not know yet is written as text."""
    try:
        return str(dictionary_VR(tag)).split(" or ")[0]
    except KeyError:
        return "LO"


def value_of(vr: str) -> Any:
    if vr == "SQ":
        item = Dataset()
        item.PatientComments, item.CodeMeaning = TEXT, TEXT
        return Sequence([item])
    return VALUES.get(vr, TEXT.upper() if vr in ("CS", "AE") else TEXT)


def with_table() -> tuple[Dataset, set[int]]:
    """A dataset that has every attribute of the table, at the top and in an item."""
    dataset = read(part10())
    item = Dataset()
    tags = {tag for tag in profile_actions() if tag >> 16 not in (0, 2) and tag not in (0x0020000D, 0x0020000E)}
    for tag in tags:
        vr = known_vr(tag)
        for target in (dataset, item):
            target.add_new(tag, vr, value_of(vr))
    dataset.SharedFunctionalGroupsSequence = Sequence([item])
    return dataset, tags


def written(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def test_the_table_is_that_of_the_edition() -> None:
    expected = {
        tag[0] << 16 | tag[1]: action
        for action, name in OF_THE_TABLE.items()
        for tag in getattr(oracle, name)
        if len(tag) == 2
    }
    assert profile_actions() == expected
    assert len(expected) > 600


def test_every_row_of_the_table_is_done_at_the_top_and_in_items() -> None:
    before, tags = with_table()
    data = done(written(before))
    assert b"zzyzx" not in data.lower()
    assert b"4711" not in data
    after = read(data)
    for target, source in ((after, before), (after.SharedFunctionalGroupsSequence[0], before[0x52009229].value[0])):
        for tag in tags:
            check(target, source, tag)


def check(target: Dataset, source: Dataset, tag: int) -> None:
    action, vr = profile_actions()[tag], known_vr(tag)
    if vr == "SQ":
        action = {"X/Z": "Z", "X/Z/U*": "X/Z/U*"}.get(action, action.split("/")[0])
    if action == "X":
        assert tag not in target, f"{tag:08X}"
        return
    value = target[tag].value
    if action[-1] == "Z":
        assert not value, f"{tag:08X}"
    elif action == "U":
        assert value == PSEUDONYMS.uid(source[tag].value), f"{tag:08X}"
    elif action == "X/Z/U*":
        assert "PatientComments" not in value[0], f"{tag:08X}"
    else:
        assert len(value) == 1 if vr == "SQ" else value not in (None, "", source[tag].value), f"{tag:08X}"


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_every_native_syntax_gives_the_same_file(syntax: str) -> None:
    source = read(part10(Rows=2, Columns=2, BitsAllocated=16, BitsStored=16, HighBit=15, PixelData=b"\1\2\3\4\5\6\7\0"))
    source["PixelData"].VR = "OW"
    plain = done(written(source))
    if syntax == ExplicitVRBigEndian:
        big = read(written(source))
        big.PixelData = b"\2\1\4\3\6\5\0\7"
        big["PixelData"].VR = "OW"
        buffer = io.BytesIO()
        big.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        pydicom.dcmwrite(buffer, big, implicit_vr=False, little_endian=False, force_encoding=True)
        assert done(buffer.getvalue()) == plain
    else:
        assert done(written(source, syntax)) == plain


def test_the_file_says_that_and_how_it_was_de_identified() -> None:
    after = read(done(part10()))
    assert after.PatientIdentityRemoved == "YES"
    assert after.DeidentificationMethod == METHOD
    (code,) = after.DeidentificationMethodCodeSequence
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("113100", "DCM")
    assert after.LongitudinalTemporalInformationModified == "REMOVED"


def test_uids_change_alike_wherever_they_stand_and_classes_stay() -> None:
    source = read(part10(FrameOfReferenceUID="1.2.9"))
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4.5"
    reference.ReferencedFrameOfReferenceUID = "1.2.9"
    source.ReferencedImageSequence = Sequence([reference])
    source.SOPInstanceUID = "1.2.3.4.5"
    after = read(done(written(source)))
    assert after.SOPInstanceUID == after.file_meta.MediaStorageSOPInstanceUID == PSEUDONYMS.uid("1.2.3.4.5")
    assert after.StudyInstanceUID == PSEUDONYMS.uid("1.2.3")
    assert after.SOPClassUID == source.SOPClassUID
    (referenced,) = after.ReferencedImageSequence
    assert referenced.ReferencedSOPInstanceUID == after.SOPInstanceUID
    assert referenced.ReferencedFrameOfReferenceUID == after.FrameOfReferenceUID
    assert referenced.ReferencedSOPClassUID == reference.ReferencedSOPClassUID


def test_another_key_gives_other_names_and_the_same_key_the_same_bytes() -> None:
    data = part10()
    assert done(data) == done(data)
    other = read(done(data, Pseudonyms(b"o" * 32)))
    assert {other.StudyInstanceUID, other.PatientID}.isdisjoint({read(done(data)).StudyInstanceUID, "P1"})
    assert re.fullmatch(r"2\.25\.[0-9]{1,39}", other.StudyInstanceUID)
    assert read(done(data)).PatientID == read(done(part10())).PatientID != other.PatientID


def test_private_and_unknown_attributes_go_at_every_depth() -> None:
    source = read(part10())
    item = Dataset()
    for target in (source, item):
        block = target.private_block(0x0009, "SOMEBODY", create=True)
        block.add_new(0x01, "LO", TEXT)
        target.add_new(0x00480FFE, "LO", TEXT)
    source.SharedFunctionalGroupsSequence = Sequence([item])
    data = done(written(source))
    assert TEXT.encode() not in data
    assert b"SOMEBODY" not in data


def test_overlays_curves_and_icons_go() -> None:
    source = read(part10())
    source.add_new(0x60003000, "OW", b"Zzyzx ")
    source.add_new(0x60004000, "LT", TEXT)
    source.add_new(0x60000010, "US", 2)
    source.add_new(0x50003000, "OB", b"Zzyzx ")
    assert TEXT.encode() not in done(written(source))


def test_a_name_that_another_text_repeats_goes_with_it() -> None:
    source = read(part10(PatientName="Müller^Ännchen", PatientID="PX-77", SpecificCharacterSet="ISO_IR 100"))
    source.Manufacturer, source.ManufacturerModelName = "of MÜLLER, PX-77", "Doeringer"
    source.KVP = 120
    after = read(done(written(source)))
    assert after.Manufacturer in (None, "")
    assert after.ManufacturerModelName == "Doeringer"
    assert after.KVP == 120


def test_a_sequence_written_as_bytes_goes() -> None:
    item = b"\xfe\xff\x00\xe0\x10\0\0\0\x10\0\x10\0\x08\0\0\0Zzyzx   "
    data = part10() + struct.pack("<HH2sHI", 0x5200, 0x9229, b"UN", 0, len(item)) + item
    assert TEXT.encode() not in done(data)


def test_the_pixels_of_every_real_file_stay_and_its_names_do_not() -> None:
    checked = 0
    for path in real_files():
        data = path.read_bytes()
        try:
            after = read(done(data))
        except RefusedInstanceError:
            continue
        before = pydicom.dcmread(path)
        big = before.file_meta.get("TransferSyntaxUID") == ExplicitVRBigEndian
        if "PixelData" in before and not big:
            assert after.PixelData.rstrip(b"\0") == before.PixelData.rstrip(b"\0"), path
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID", "PatientBirthDate"):
            value = str(before.get(keyword) or "")
            if len(value) > 3:
                assert str(after.get(keyword) or "") != value, (path, keyword)
        assert not str(after.get("PatientName", ""))
        checked += 1
    assert checked > 100


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"BurnedInAnnotation": "YES"}, Exclusion.BURNED_IN),
        ({"BurnedInAnnotation": "NO", "Modality": "US"}, None),
        ({"Modality": "US"}, Exclusion.BURNED_IN),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, Exclusion.BURNED_IN),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7.2"}, Exclusion.BURNED_IN),
        ({"ConversionType": "SD"}, Exclusion.BURNED_IN),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LABEL", "NONE"], "BurnedInAnnotation": "NO"}, Exclusion.BURNED_IN),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.11"}, Exclusion.DOCUMENT),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.59"}, Exclusion.DOCUMENT),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1"}, Exclusion.DOCUMENT),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66"}, Exclusion.UNCLEAR),
        ({"SOPClassUID": "1.3.12.2.1107.5.9.1"}, Exclusion.UNCLEAR),
        ({}, None),
    ],
)
def test_what_cannot_be_cleaned_is_left_out(attributes: dict[str, Any], expected: Exclusion | None) -> None:
    assert exclusion_of(read(part10(**attributes)).to_json_dict()) is expected
