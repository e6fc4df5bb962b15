"""Attributes set to other values: what changes, what is recorded, and that every other byte stays."""

import io
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from archive.dicom.coercion import Coercion, coerce
from archive.dicom.part10 import read_file_meta
from archive.errors import BadRequestError, RefusedInstanceError

NOW = datetime(2026, 3, 4, 5, 6, 7, 890, UTC)
PATIENT_ID, ISSUER, NAME, INSTITUTION = 0x00100020, 0x00100021, 0x00100010, 0x00080080
CHANGES = Coercion({PATIENT_ID: "LB-1", INSTITUTION: "General"}, {ISSUER: "GENERAL"}, "Lightbox", "Elsewhere")
SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
RECORD = "OriginalAttributesSequence"


def coerced(data: bytes, coercion: Coercion = CHANGES) -> bytes:
    file = coerce(data, coercion, NOW)
    assert file is not None
    return b"".join(file.blocks())


def read(data: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(data), force=True)


def _raw(dataset: Dataset, tag: BaseTag) -> object:
    item = dataset.get_item(tag)
    return item.value if item is not None else None


def made(syntax: str = ExplicitVRLittleEndian, **attributes: object) -> bytes:
    dataset = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    if syntax == ExplicitVRBigEndian:
        dataset = pydicom.dcmread(str(get_testdata_file("MR_small_bigendian.dcm")))
    dataset.file_meta.TransferSyntaxUID = syntax
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    file = io.BytesIO()
    pydicom.dcmwrite(file, dataset, little_endian=syntax != ExplicitVRBigEndian, implicit_vr=syntax == SYNTAXES[0])
    return file.getvalue()


@pytest.mark.filterwarnings("ignore:Expected explicit VR")  # one file lies about its syntax
def test_every_real_file_keeps_all_but_the_changed_attributes(real_file: Path) -> None:
    data = real_file.read_bytes()
    try:
        before = read(data)
        file = coerce(data, CHANGES, NOW)
    except RefusedInstanceError:
        return  # damaged on purpose: it is not stored either
    assert file is not None
    after = read(b"".join(file.blocks()))
    assert (after.PatientID, after.InstitutionName) == ("LB-1", "General")
    assert after.IssuerOfPatientID == (before.get("IssuerOfPatientID") or "GENERAL")
    item = after[RECORD].value[-1].ModifiedAttributesSequence[0]
    assert item.PatientID == before.get("PatientID", "")
    changed = {PATIENT_ID, INSTITUTION, ISSUER, 0x04000561, 0x00080001}
    raw_before, raw_after = read(data), read(b"".join(file.blocks()))
    for tag in set(raw_before.keys()) - changed:
        if tag.element:
            assert _raw(raw_after, tag) == _raw(raw_before, tag), tag


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_was_is_recorded_in_every_native_syntax(syntax: str) -> None:
    after = read(coerced(made(syntax, PatientID="OLD", InstitutionName="Old house")))
    assert after.file_meta.TransferSyntaxUID == syntax
    (item,) = after[RECORD].value
    (previous,) = item.ModifiedAttributesSequence
    assert (previous.PatientID, previous.InstitutionName, previous.IssuerOfPatientID) == ("OLD", "Old house", "")
    assert item.AttributeModificationDateTime == "20260304050607.000890+0000"
    assert (item.ModifyingSystem, item.SourceOfPreviousValues) == ("Lightbox", "Elsewhere")
    assert item.ReasonForTheAttributeModification == "COERCE"


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_all_bytes_around_the_changes_are_those_of_the_file(syntax: str) -> None:
    data = made(syntax)
    meta = read_file_meta(data)
    new = coerced(data)
    assert new[: meta.dataset_offset] == data[: meta.dataset_offset]
    old_set, new_set = data[meta.dataset_offset :], new[meta.dataset_offset :]
    if syntax == DeflatedExplicitVRLittleEndian:
        old_set, new_set = zlib.decompress(old_set, -15), zlib.decompress(new_set, -15)
    pixels = pydicom.dcmread(io.BytesIO(data)).PixelData
    assert new_set[new_set.rindex(pixels) :] == old_set[old_set.rindex(pixels) :]
    assert new_set[:100] == old_set[:100]


def test_a_file_that_has_the_values_already_is_left_alone() -> None:
    once = coerced(made())
    assert coerce(once, CHANGES, NOW) is None


def test_what_is_to_be_empty_may_as_well_be_absent() -> None:
    changed = read(coerced(made(), Coercion({ISSUER: "", PATIENT_ID: "NEW"})))
    assert ISSUER not in changed
    emptied = read(coerced(made(IssuerOfPatientID="OTHER"), Coercion({ISSUER: "", PATIENT_ID: "NEW"})))
    assert emptied.IssuerOfPatientID == ""
    assert emptied[RECORD].value[0].ModifiedAttributesSequence[0].IssuerOfPatientID == "OTHER"


def test_a_second_change_keeps_the_first_record() -> None:
    twice = read(coerced(coerced(made(PatientID="FIRST")), Coercion({PATIENT_ID: "THIRD"}, reason="CORRECT")))
    items = twice[RECORD].value
    assert [item.ModifiedAttributesSequence[0].PatientID for item in items] == ["FIRST", "LB-1"]
    assert items[1].ModifiedAttributesSequence[0].IssuerOfPatientID == "GENERAL"
    assert items[1].ReasonForTheAttributeModification == "CORRECT"


@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_record_of_another_system_is_kept(syntax: str, undefined: bool) -> None:
    inner = Dataset()
    inner.ModifiedAttributesSequence = [Dataset()]
    inner.ModifyingSystem = "Other"
    sequence = Sequence([inner])
    data = pydicom.dcmread(io.BytesIO(made(syntax)))
    data.OriginalAttributesSequence = sequence
    data[RECORD].is_undefined_length = undefined
    file = io.BytesIO()
    data.save_as(file)
    assert [item.ModifyingSystem for item in read(coerced(file.getvalue()))[RECORD].value] == ["Other", "Lightbox"]


def test_a_name_beyond_ascii_makes_an_instance_without_character_set_utf_8() -> None:
    data = made(SpecificCharacterSet=None, PatientName="Plain")
    after = read(coerced(data, Coercion({NAME: "Müller^Jörg=山田^太郎"})))
    assert after.SpecificCharacterSet == "ISO_IR 192"
    assert str(after.PatientName) == "Müller^Jörg=山田^太郎"
    assert str(after[RECORD].value[0].ModifiedAttributesSequence[0].PatientName) == "Plain"


def test_a_new_value_is_written_in_the_instance_s_character_set() -> None:
    after = read(coerced(made(SpecificCharacterSet="ISO_IR 100", PatientName="Æ"), Coercion({NAME: "Müller"})))
    assert after.SpecificCharacterSet == "ISO_IR 100"
    assert after.get_item(NAME).value.strip() == "Müller".encode("latin-1")
    assert str(after[RECORD].value[0].ModifiedAttributesSequence[0].PatientName) == "Æ"


def test_a_value_that_the_character_set_lacks_is_refused_by_name() -> None:
    with pytest.raises(RefusedInstanceError, match=r"\(0010,0010\) cannot be written"):
        coerce(made(SpecificCharacterSet="ISO_IR 100"), Coercion({NAME: "山田"}), NOW)


@pytest.mark.parametrize("tag", [0x0020000D, 0x00080018, 0x00080005, 0x00280010, 0x7FE00010, 0x00020010, 0x00081140])
def test_what_is_no_text_of_the_dataset_cannot_be_set(tag: int) -> None:
    with pytest.raises(BadRequestError, match="cannot be set"):
        Coercion({tag: "1"})


def test_the_length_of_a_changed_group_is_left_out_and_of_others_kept() -> None:
    dataset = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    plain = made()
    start = read_file_meta(plain).dataset_offset
    length = b"\x08\x00\x00\x00UL\x04\x00\x10\x00\x00\x00"
    after = read(coerced(plain[:start] + length + plain[start:], Coercion({PATIENT_ID: "X"})))
    assert (0x0008, 0x0000) in after
    gone = read(coerced(plain[:start] + length + plain[start:], Coercion({INSTITUTION: "X"})))
    assert (0x0008, 0x0000) not in gone
    assert gone.PixelData == dataset.PixelData
