"""Every Accept string that dicomweb-client can build, built by dicomweb-client itself."""

import pytest
from dicomweb_client import DICOMwebClient

from archive.dicomweb.media_types import EXPLICIT_VR_LE, MEDIA_TYPE_OF_SYNTAX, Offer, negotiate
from archive.errors import NotAcceptableError

SYNTAXES = [
    EXPLICIT_VR_LE,
    "1.2.840.10008.1.2.5",
    *(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70, 80, 81, 90, 91, 92, 93, 100, 101, 102, 103, 104, 105, 106)),
]
FRAME_TYPES = {
    EXPLICIT_VR_LE: ("application/octet-stream",),
    "1.2.840.10008.1.2.5": ("image/dicom-rle", "image/x-dicom-rle"),
    **{f"1.2.840.10008.1.2.4.{n}": ("image/jpeg",) for n in (50, 51, 57, 70)},
    **{f"1.2.840.10008.1.2.4.{n}": ("image/jls", "image/x-jls") for n in (80, 81)},
    **{f"1.2.840.10008.1.2.4.{n}": ("image/jp2",) for n in (90, 91)},
    **{f"1.2.840.10008.1.2.4.{n}": ("image/jpx",) for n in (92, 93)},
    **{f"1.2.840.10008.1.2.4.{n}": ("video/mpeg2",) for n in (100, 101)},
    **{f"1.2.840.10008.1.2.4.{n}": ("video/mp4",) for n in (102, 103, 104, 105, 106)},
}


def accept(*media_types: str | tuple[str, str], supported: dict[str, tuple[str, ...]] | None = None) -> str:
    types = FRAME_TYPES if supported is None else supported
    return str(DICOMwebClient._build_multipart_accept_header_field_value(media_types, types))


def frame_offers(stored: str) -> list[Offer]:
    offers = [Offer("application/octet-stream", EXPLICIT_VR_LE, multipart=True, rank=5)]
    if stored != EXPLICIT_VR_LE:
        offers.append(Offer(MEDIA_TYPE_OF_SYNTAX[stored], stored, multipart=True))
    return offers


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_frame_asked_for_in_its_own_syntax_comes_as_it_is_stored(syntax: str) -> None:
    for media_type in FRAME_TYPES[syntax]:
        chosen = negotiate([accept((media_type, syntax))], [], frame_offers(syntax))
        assert chosen.transfer_syntax_uid == syntax
        assert chosen.media_type == MEDIA_TYPE_OF_SYNTAX[syntax]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_frame_asked_for_by_its_type_alone_comes_in_that_type(syntax: str) -> None:
    for media_type in FRAME_TYPES[syntax]:
        assert negotiate([accept(media_type)], [], frame_offers(syntax)).media_type == MEDIA_TYPE_OF_SYNTAX[syntax]
        family = media_type.split("/", 1)[0] + "/*"
        assert negotiate([accept(family)], [], frame_offers(syntax)).media_type == MEDIA_TYPE_OF_SYNTAX[syntax]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_frame_in_the_wrong_syntax_is_not_acceptable(syntax: str) -> None:
    other = next(known for known in SYNTAXES[1:] if known != syntax)
    with pytest.raises(NotAcceptableError):
        negotiate([accept((FRAME_TYPES[other][0], other))], [], frame_offers(syntax))


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_clients_default_for_frames_is_the_standards_default(syntax: str) -> None:
    assert negotiate([accept("*/*")], [], frame_offers(syntax)).transfer_syntax_uid == EXPLICIT_VR_LE


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_whole_objects_come_as_asked(syntax: str) -> None:
    dicom = "application/dicom"
    supported = dict.fromkeys(SYNTAXES, (dicom,))
    offers = [Offer(dicom, EXPLICIT_VR_LE, multipart=True, rank=5), Offer(dicom, syntax, multipart=True)]

    def given(*media_types: str | tuple[str, str]) -> str | None:
        return negotiate([accept(*media_types, supported=supported)], [], offers).transfer_syntax_uid

    assert given(dicom) == EXPLICIT_VR_LE
    assert given((dicom, syntax)) == syntax
    assert given((dicom, "*")) == syntax
    assert given((dicom, EXPLICIT_VR_LE), (dicom, syntax)) == syntax
    assert negotiate([accept("*/*")], [], offers).transfer_syntax_uid == syntax


def test_several_types_in_one_header_are_all_taken() -> None:
    header = accept(("image/jp2", "1.2.840.10008.1.2.4.90"), ("application/octet-stream", EXPLICIT_VR_LE))
    assert negotiate([header], [], frame_offers("1.2.840.10008.1.2.4.50")).transfer_syntax_uid == EXPLICIT_VR_LE
    assert negotiate([header], [], frame_offers("1.2.840.10008.1.2.4.90")).media_type == "image/jp2"
