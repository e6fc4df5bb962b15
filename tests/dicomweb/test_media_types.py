"""Accept negotiation as a table: what clients send, and what each must get."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.dicomweb.media_types import Negotiation, Offer, negotiate, negotiate_each
from archive.errors import BadRequestError, NotAcceptableError

ELE, ILE, BE, DEFLATED = (f"1.2.840.10008.1.2{tail}" for tail in (".1", "", ".2", ".1.99"))
J2K, J2K_LOSSY, JPEG, JPEG_LOSSLESS, JLS, HTJ2K = (
    f"1.2.840.10008.1.2.4.{tail}" for tail in ("90", "91", "50", "70", "80", "201")
)

DICOM, OCTETS = "application/dicom", "application/octet-stream"


def whole_object(stored: str) -> list[Offer]:
    """An instance stored in a syntax that can be decoded: both forms, as Explicit LE and as stored."""
    return [
        Offer(DICOM, ELE, multipart=True, rank=0 if stored == ELE else 5),
        Offer(DICOM, stored, multipart=True),
        Offer(DICOM, ELE, rank=0 if stored == ELE else 5),
        Offer(DICOM, stored),
        Offer(OCTETS, ELE, multipart=True, rank=2),
    ]


def frames(stored: str, image: str) -> list[Offer]:
    return [
        Offer(OCTETS, ELE, multipart=True, rank=5),
        Offer(image, stored, multipart=True),
        Offer(OCTETS, stored, multipart=True, rank=1),
        Offer(image, stored, rank=1),
        Offer(OCTETS, ELE, rank=5),
    ]


NATIVE_FRAMES = [
    Offer(OCTETS, ELE, multipart=True),
    Offer(OCTETS, ELE),
    Offer("image/jls", JLS, multipart=True, rank=9),
]
METADATA = [Offer("application/dicom+json"), Offer("application/dicom+xml", multipart=True)]
BULK = [
    Offer(OCTETS, multipart=True),
    Offer(OCTETS),
    Offer("application/pdf", multipart=True),
    Offer("application/pdf"),
]
PICTURE = [Offer("image/jpeg"), Offer("image/png", rank=1), Offer("image/gif", rank=2)]

MULTI_DICOM = 'multipart/related; type="application/dicom"'
WSI = (
    'multipart/related; type="image/jls"; transfer-syntax=1.2.840.10008.1.2.4.80, '
    'multipart/related; type="image/jls"; transfer-syntax=1.2.840.10008.1.2.4.81, '
    'multipart/related; type="image/jp2"; transfer-syntax=1.2.840.10008.1.2.4.90, '
    'multipart/related; type="image/jp2"; transfer-syntax=1.2.840.10008.1.2.4.91, '
    'multipart/related; type="image/jpx"; transfer-syntax=1.2.840.10008.1.2.4.92, '
    'multipart/related; type="image/jpx"; transfer-syntax=1.2.840.10008.1.2.4.93, '
    'multipart/related; type="application/octet-stream"; transfer-syntax=*, '
    'multipart/related; type="image/jpeg"; transfer-syntax=1.2.840.10008.1.2.4.50'
)
BROWSER_IMAGE = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
BROWSER_PAGE = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"

CHOSEN = [
    # what is asked, of what, what is given
    (MULTI_DICOM, whole_object(J2K), Offer(DICOM, ELE, multipart=True, rank=5)),
    ("multipart/related; type=application/dicom", whole_object(J2K), Offer(DICOM, ELE, multipart=True, rank=5)),
    ("Multipart/Related; TYPE=Application/DICOM", whole_object(J2K), Offer(DICOM, ELE, multipart=True, rank=5)),
    (
        'multipart/related;type="application/dicom";transfer-syntax=*',
        whole_object(J2K),
        Offer(DICOM, J2K, multipart=True),
    ),
    (f"{MULTI_DICOM}; Transfer-Syntax={J2K}", whole_object(J2K), Offer(DICOM, J2K, multipart=True)),
    (f'{MULTI_DICOM}; transfer-syntax="{J2K}"', whole_object(J2K), Offer(DICOM, J2K, multipart=True)),
    ('multipart/related; type="*/*"', whole_object(J2K), Offer(DICOM, J2K, multipart=True)),
    ("multipart/related", whole_object(J2K), Offer(DICOM, J2K, multipart=True)),
    ('multipart/related; type="*/*"', whole_object(ILE), Offer(DICOM, ELE, multipart=True, rank=5)),
    (f"{MULTI_DICOM}; transfer-syntax=*", whole_object(ILE), Offer(DICOM, ELE, multipart=True, rank=5)),
    (f"{MULTI_DICOM}; transfer-syntax=*", whole_object(BE), Offer(DICOM, ELE, multipart=True, rank=5)),
    (f"{MULTI_DICOM}; transfer-syntax=*", whole_object(DEFLATED), Offer(DICOM, DEFLATED, multipart=True)),
    (f"{MULTI_DICOM}; transfer-syntax={ILE}", whole_object(ILE), Offer(DICOM, ILE, multipart=True)),
    (f"{MULTI_DICOM}; transfer-syntax={BE}", whole_object(BE), Offer(DICOM, BE, multipart=True)),
    ("*/*", whole_object(J2K), Offer(DICOM, ELE, multipart=True, rank=5)),
    ("*/*; transfer-syntax=*", whole_object(J2K), Offer(DICOM, J2K, multipart=True)),
    ("application/dicom", whole_object(J2K), Offer(DICOM, ELE, rank=5)),
    ("application/dicom; transfer-syntax=*", whole_object(J2K), Offer(DICOM, J2K)),
    ("application/*", whole_object(J2K), Offer(DICOM, J2K)),
    (
        'multipart/related; type="application/octet-stream"',
        whole_object(J2K),
        Offer(OCTETS, ELE, multipart=True, rank=2),
    ),
    (f"{MULTI_DICOM};q=0.2, application/dicom;q=0.4", whole_object(J2K), Offer(DICOM, ELE, rank=5)),
    (f"{MULTI_DICOM};transfer-syntax={JLS}, {MULTI_DICOM};q=0.1", whole_object(J2K), Offer(DICOM, ELE, True, 5)),
    (
        f"{MULTI_DICOM};transfer-syntax={ELE};q=0, {MULTI_DICOM};transfer-syntax=*",
        whole_object(J2K),
        Offer(DICOM, J2K, True),
    ),
    (f"{MULTI_DICOM};q=0, */*;q=0.1", whole_object(J2K), Offer(DICOM, ELE, rank=5)),
    # cornerstone and OHIF
    (
        "multipart/related; type=application/octet-stream; transfer-syntax=*",
        frames(J2K, "image/jp2"),
        Offer(OCTETS, J2K, True, 1),
    ),
    (
        'multipart/related; type="application/octet-stream"; transfer-syntax="*"',
        NATIVE_FRAMES,
        Offer(OCTETS, ELE, True),
    ),
    (
        'multipart/related; type="image/jls; transfer-syntax=1.2.840.10008.1.2.4.80"',
        NATIVE_FRAMES,
        Offer("image/jls", JLS, True, 9),
    ),
    (
        f"multipart/related; type=image/jphc; transfer-syntax={HTJ2K}",
        frames(HTJ2K, "image/jphc"),
        Offer("image/jphc", HTJ2K, True),
    ),
    (
        "application/dicom+json, multipart/related; type=application/octet-stream; transfer-syntax=*",
        METADATA,
        METADATA[0],
    ),
    (WSI, NATIVE_FRAMES, Offer(OCTETS, ELE, multipart=True)),
    (WSI, frames(J2K, "image/jp2"), Offer("image/jp2", J2K, multipart=True)),
    (WSI, frames(JPEG, "image/jpeg"), Offer("image/jpeg", JPEG, multipart=True)),
    ('multipart/related; type="application/pdf", multipart/related; type="application/octet-stream"', BULK, BULK[0]),
    ("multipart/related; type=application/octet-stream; transfer-syntax=*", BULK, BULK[0]),
    ("application/pdf", BULK, BULK[3]),
    ("*/*", BULK, BULK[0]),
    # dicomweb-client
    ('multipart/related; type="*/*"', frames(J2K, "image/jp2"), Offer(OCTETS, ELE, multipart=True, rank=5)),
    (
        'multipart/related; type="*/*"; transfer-syntax=*',
        frames(J2K, "image/jp2"),
        Offer("image/jp2", J2K, multipart=True),
    ),
    ('multipart/related; type="image/*"', frames(J2K, "image/jp2"), Offer("image/jp2", J2K, multipart=True)),
    ('multipart/related; type="image/"', frames(J2K, "image/jp2"), Offer("image/jp2", J2K, multipart=True)),
    ('multipart/related; type="image/x-jls"', NATIVE_FRAMES, Offer("image/jls", JLS, multipart=True, rank=9)),
    (f'multipart/related; type="application/octet-stream"; transfer-syntax={ELE}', BULK, BULK[0]),
    ('multipart/related; type="*/*"', BULK, BULK[0]),
    ("application/dicom+json, application/json", METADATA, METADATA[0]),
    ("image/png, image/jpeg", PICTURE, PICTURE[0]),
    # pictures
    ("image/jpeg", PICTURE, PICTURE[0]),
    ("image/gif", PICTURE, PICTURE[2]),
    ("image/png;q=0.9, image/gif", PICTURE, PICTURE[2]),
    (BROWSER_IMAGE, PICTURE, PICTURE[0]),
    ("image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5", PICTURE, PICTURE[1]),
    (BROWSER_PAGE, PICTURE, PICTURE[0]),
    (BROWSER_PAGE, METADATA, METADATA[0]),
    # a stored baseline JPEG is an image/jpeg, where no lossless one is offered
    ('multipart/related; type="image/jpeg"', frames(JPEG, "image/jpeg"), Offer("image/jpeg", JPEG, multipart=True)),
    (
        'multipart/related; type="image/jpeg"',
        [*frames(JPEG, "image/jpeg"), Offer("image/jpeg", JPEG_LOSSLESS, multipart=True, rank=7)],
        Offer("image/jpeg", JPEG_LOSSLESS, multipart=True, rank=7),
    ),
    (MULTI_DICOM, [Offer(DICOM, JPEG, True, stands_in=True)], Offer(DICOM, JPEG, True, stands_in=True)),
    # what cannot be read is left out, the rest counts
    (
        "nonsense, ;;, */json, application/dicom+json;q=7, application/dicom+xml;=, application/dicom+json",
        METADATA,
        METADATA[0],
    ),
    ('multipart/related; type="application/dicom+xml', [*METADATA, Offer("x/y")], None),
    ('application/dicom+json, multipart/related; type="application/dicom+xml', METADATA, METADATA[0]),
    ("application/dicom+json;charset=utf-8;q=0.5", METADATA, METADATA[0]),
    ('multipart/related; type="application/dicom+xml"', METADATA, METADATA[1]),
    (f"{MULTI_DICOM};transfer-syntax={J2K};transfer-syntax={ELE}", whole_object(J2K), None),
    ("image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50", PICTURE, None),
    ("application/dicom", [Offer(DICOM, ELE, multipart=True)], None),
    (MULTI_DICOM, [Offer(DICOM, "1.2.3.4", multipart=True)], None),
    ("*/*;q=0", METADATA, None),
    ("text/csv", METADATA, None),
    (f"{MULTI_DICOM};transfer-syntax={JLS}", whole_object(J2K), None),
]


@pytest.mark.parametrize(("accept", "offers", "expected"), CHOSEN)
def test_each_accept_header_gets_what_it_means(accept: str, offers: list[Offer], expected: Offer | None) -> None:
    if expected is None:
        with pytest.raises(NotAcceptableError) as caught:
            negotiate([accept], [], offers)
        assert caught.value.available == tuple(str(offer) for offer in offers)
        return
    assert as_sent(negotiate([accept], [], offers)) == as_sent(expected)


def as_sent(offer: Offer) -> tuple[str, str | None, bool]:
    return offer.media_type, offer.transfer_syntax_uid, offer.multipart


@pytest.mark.parametrize(
    "accept", ["application/dicom, text/html", f"{MULTI_DICOM}, image/png", "application/dicom+json, image/gif;q=0.1"]
)
def test_dicom_and_rendered_types_together_are_a_bad_request(accept: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        negotiate([accept], [], METADATA)
    assert caught.value.parameter == "Accept"


def test_without_accept_the_default_is_given() -> None:
    assert negotiate([], [], whole_object(J2K)) == whole_object(J2K)[0]
    assert negotiate([""], [], METADATA) == METADATA[0]


def test_without_accept_a_strict_server_answers_not_acceptable() -> None:
    with pytest.raises(NotAcceptableError):
        negotiate([], [], METADATA, strict=True)


def test_several_header_lines_count_as_one_list() -> None:
    assert negotiate(["text/csv", "application/dicom+json"], [], METADATA) == METADATA[0]


def test_the_query_goes_before_the_header() -> None:
    assert negotiate(["*/*"], ["image/png"], PICTURE) == PICTURE[1]
    assert negotiate(["image/jpeg"], ["image/png;q=0.5,image/gif"], PICTURE) == PICTURE[2]


def test_a_plus_that_arrives_as_a_space_in_the_query_is_put_back() -> None:
    offers = [Offer("text/x"), Offer("application/dicom+json")]
    assert negotiate([], ["application/dicom json"], offers) == offers[1]


def test_a_query_that_cannot_be_met_leaves_the_word_to_the_header() -> None:
    assert negotiate(["image/gif"], ["image/webp"], PICTURE) == PICTURE[2]
    with pytest.raises(NotAcceptableError):
        negotiate([], ["image/webp"], PICTURE)


@pytest.mark.parametrize("accept", ["*/*", "image/*", 'multipart/related; type="*/*"'])
def test_a_wildcard_in_the_query_is_a_bad_request(accept: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        negotiate([], [accept], PICTURE)
    assert caught.value.parameter == "accept"


def test_each_instance_of_a_study_gets_its_own_syntax_in_one_form() -> None:
    chosen = negotiate_each(
        [f"{MULTI_DICOM}; transfer-syntax=*"], [], [whole_object(J2K), whole_object(ILE), whole_object(JLS)]
    )
    assert [offer and as_sent(offer) for offer in chosen] == [
        (DICOM, J2K, True),
        (DICOM, ELE, True),
        (DICOM, JLS, True),
    ]


def test_an_instance_that_has_no_acceptable_form_is_missing_from_the_answer() -> None:
    unknown = [Offer(DICOM, "1.2.3.4", multipart=True)]
    chosen = negotiate_each([MULTI_DICOM], [], [unknown, whole_object(J2K)])
    assert chosen[0] is None
    assert chosen[1] is not None
    with pytest.raises(NotAcceptableError):
        negotiate_each([MULTI_DICOM], [], [unknown, unknown])


def test_the_form_that_serves_most_instances_is_taken() -> None:
    accept = ['multipart/related; type="image/jp2", multipart/related; type="application/octet-stream";q=0.5']
    chosen = negotiate_each(accept, [], [frames(J2K, "image/jp2"), NATIVE_FRAMES])
    assert [offer and offer.media_type for offer in chosen] == [OCTETS, OCTETS]


def test_the_part_says_what_is_inside() -> None:
    assert Offer(DICOM, J2K, multipart=True).part_content_type == f"application/dicom; transfer-syntax={J2K}"
    assert Offer("image/png").part_content_type == "image/png"


@given(st.lists(st.text(max_size=80), max_size=3), st.lists(st.text(max_size=40), max_size=2))
@settings(max_examples=300, deadline=None)
def test_no_accept_text_raises_anything_but_its_two_errors(header: list[str], query: list[str]) -> None:
    with contextlib.suppress(NotAcceptableError, BadRequestError):
        assert negotiate(header, query, whole_object(J2K)) in whole_object(J2K)


PIECES = st.lists(
    st.sampled_from(
        [
            "multipart/related",
            "*/*",
            "image/",
            "type=",
            '"',
            "\\",
            ";",
            ",",
            "q=",
            "0.5",
            "transfer-syntax=",
            "*",
            " ",
            "=",
            ELE,
        ]
    ),
    max_size=25,
)


@given(PIECES.map("".join))
@settings(max_examples=500, deadline=None)
def test_no_arrangement_of_accept_pieces_raises_anything_but_its_two_errors(header: str) -> None:
    for offers in (METADATA, frames(J2K, "image/jp2"), []):
        with contextlib.suppress(NotAcceptableError, BadRequestError):
            Negotiation.parse([header]).choose(offers)
