"""Native DICOM Model documents say what the DICOM JSON says, and nothing is expanded when one is read."""

from typing import Any

import pytest

from archive.dicom.xml_model import parse_xml, to_xml
from archive.errors import BadRequestError

DATASET: dict[str, dict[str, Any]] = {
    "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
    "00080008": {"vr": "CS", "Value": ["ORIGINAL", None, "AXIAL"]},
    "00090010": {"vr": "LO", "Value": ['ACME "1" & <2>']},
    "00091001": {"vr": "UN", "InlineBinary": "AAEC"},
    "00100010": {
        "vr": "PN",
        "Value": [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}, {"Phonetic": "やまだ"}],
    },
    "00100020": {"vr": "LO"},
    "00281050": {"vr": "DS", "Value": [40.5, 10]},
    "00280010": {"vr": "US", "Value": [512]},
    "00400275": {
        "vr": "SQ",
        "Value": [{"00400009": {"vr": "SH", "Value": ["S1"]}}, {}, {"00400280": {"vr": "ST", "Value": [" a\nb "]}}],
    },
    "7FE00010": {"vr": "OW", "BulkDataURI": "https://a.example/bulkdata/7FE00010?x=1&y=2"},
}


def test_what_is_written_is_read_back_as_it_was() -> None:
    back = parse_xml(to_xml(DATASET))
    expected = {**DATASET, "00281050": {"vr": "DS", "Value": ["40.5", "10"]}}
    assert back == expected


def test_a_private_attribute_names_its_creator() -> None:
    assert b'tag="00091001" vr="UN" privateCreator=\'ACME "1" &amp; &lt;2&gt;\'' in to_xml(DATASET)


def test_a_known_attribute_has_its_keyword() -> None:
    assert b'<DicomAttribute tag="00280010" vr="US" keyword="Rows"><Value number="1">512</Value>' in to_xml(DATASET)


def test_an_empty_value_is_a_number_left_out() -> None:
    document = to_xml({"00080008": DATASET["00080008"]})
    assert b'<Value number="1">ORIGINAL</Value><Value number="3">AXIAL</Value>' in document


def test_characters_that_xml_cannot_hold_do_not_break_the_document() -> None:
    document = to_xml({"00081030": {"vr": "LO", "Value": ["a\x00\x1bb\ud800"]}})
    assert parse_xml(document) == {"00081030": {"vr": "LO", "Value": ["a\ufffd\ufffdb\ufffd"]}}


@pytest.mark.parametrize(
    "document",
    [
        b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><NativeDicomModel>&e;</NativeDicomModel>',
        b'<!DOCTYPE a SYSTEM "http://x.example/a.dtd"><NativeDicomModel/>',
        b'<!DOCTYPE l [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><NativeDicomModel>&b;</NativeDicomModel>',
    ],
)
def test_a_document_with_a_doctype_is_refused(document: bytes) -> None:
    with pytest.raises(BadRequestError, match="DOCTYPE"):
        parse_xml(document)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<NativeDicomModel>",
        b"<html/>",
        b"<NativeDicomModel><Value number='1'>x</Value></NativeDicomModel>",
        b"<NativeDicomModel><Item number='1'/></NativeDicomModel>",
        b"<NativeDicomModel><DicomAttribute tag='0010' vr='LO'/></NativeDicomModel>",
        (
            b"<NativeDicomModel><DicomAttribute tag='00100020' vr='LO'><Value>x</Value></DicomAttribute>"
            b"</NativeDicomModel>"
        ),
        (
            b"<NativeDicomModel><DicomAttribute tag='00100020' vr='LO'><Value number='9999999'>x</Value>"
            b"</DicomAttribute></NativeDicomModel>"
        ),
        (
            b"<NativeDicomModel><DicomAttribute tag='00100020' vr='LO'><DicomAttribute tag='00100020' vr='LO'/>"
            b"</DicomAttribute></NativeDicomModel>"
        ),
        b"<NativeDicomModel><NativeDicomModel/></NativeDicomModel>",
        b"<NativeDicomModel>&undefined;</NativeDicomModel>",
    ],
)
def test_what_is_no_native_model_is_refused(document: bytes) -> None:
    with pytest.raises(BadRequestError):
        parse_xml(document)


def test_sequences_nested_without_end_are_refused() -> None:
    opening = b"<DicomAttribute tag='00400275' vr='SQ'><Item number='1'>" * 70
    closing = b"</Item></DicomAttribute>" * 70
    with pytest.raises(BadRequestError, match="64"):
        parse_xml(b"<NativeDicomModel>" + opening + closing + b"</NativeDicomModel>")


def test_a_document_without_the_namespace_is_read_too() -> None:
    document = (
        b"<NativeDicomModel><DicomAttribute tag='00100010' vr='PN'><PersonName number='1'><Alphabetic>"
        b"<FamilyName>Doe</FamilyName><NamePrefix>Dr</NamePrefix></Alphabetic></PersonName></DicomAttribute>"
        b"</NativeDicomModel>"
    )
    assert parse_xml(document)["00100010"]["Value"] == [{"Alphabetic": "Doe^^^Dr"}]
