"""Metadata of what is odd: each trap of DICOM JSON by name, on datasets made byte by byte."""

import base64
import struct
from typing import Any

import orjson
import pytest
from pydicom.charset import encode_string

from archive.dicom.part10 import FileMeta, Limits
from archive.dicom.walk import URI_MEMBER, Walked, walk
from archive.errors import RefusedInstanceError

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
LONG = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")


def explicit(tag: int, vr: str, value: bytes, length: int | None = None, order: str = "<") -> bytes:
    length = len(value) if length is None else length
    if vr in LONG:
        return struct.pack(f"{order}HH2sHI", tag >> 16, tag & 0xFFFF, vr.encode(), 0, length) + value
    return struct.pack(f"{order}HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), length) + value


def implicit(tag: int, value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def item(content: bytes, *, delimited: bool = False) -> bytes:
    if delimited:
        return implicit(0xFFFEE000, content, 0xFFFFFFFF) + implicit(0xFFFEE00D, b"")
    return implicit(0xFFFEE000, content)


def read(dataset: bytes, syntax: str = EXPLICIT, limits: Limits = Limits()) -> Walked:  # noqa: B008 - frozen
    return walk(dataset, FileMeta(syntax, "", "", 0), limits)


def metadata(dataset: bytes, syntax: str = EXPLICIT) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(read(dataset, syntax).metadata)
    return found


def one(tag: int, vr: str, value: bytes) -> dict[str, Any]:
    (entry,) = metadata(explicit(tag, vr, value)).values()
    return dict(entry)


# Trap 1: UN and private attributes


def test_un_of_a_known_attribute_stays_un_and_is_searched_by_what_it_says() -> None:
    walked = read(explicit(0x00100020, "UN", b"P 1 "))
    assert orjson.loads(walked.metadata) == {
        "00100020": {"vr": "UN", "InlineBinary": base64.b64encode(b"P 1 ").decode()}
    }
    assert walked.attributes == {"00100020": {"vr": "LO", "Value": ["P 1"]}}


def test_a_private_un_keeps_its_bytes_with_their_padding_beside_its_creator() -> None:
    dataset = explicit(0x00090010, "LO", b"ACME") + explicit(0x00091001, "UN", b"abc\0")
    assert metadata(dataset) == {
        "00090010": {"vr": "LO", "Value": ["ACME"]},
        "00091001": {"vr": "UN", "InlineBinary": "YWJjAA=="},
    }


def test_a_private_attribute_without_a_vr_is_un_unless_its_creator_is_known() -> None:
    dataset = (
        implicit(0x00090010, b"ACME") + implicit(0x00091001, b"abc ")
        + implicit(0x00190010, b"SIEMENS MR HEADER ") + implicit(0x0019100C, b"1000")
    )  # fmt: skip
    found = metadata(dataset, IMPLICIT)
    assert found["00091001"] == {"vr": "UN", "InlineBinary": "YWJjIA=="}
    assert found["0019100C"] == {"vr": "IS", "Value": [1000]}


def test_un_of_undefined_length_is_a_sequence_in_implicit_vr() -> None:
    inside = item(implicit(0x00080100, b"T-1 "), delimited=True) + implicit(0xFFFEE0DD, b"")
    dataset = explicit(0x00091010, "UN", inside, 0xFFFFFFFF)
    assert metadata(dataset) == {
        "00091010": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["T-1"]}}]},
    }


@pytest.mark.parametrize(
    "head", [struct.pack("<HH2sH", 0x18, 0x9074, b"ZZ", 4), struct.pack("<HH2sHI", 0x18, 0x9074, b"ZZ", 0, 4)]
)
def test_a_vr_that_nobody_knows_is_un(head: bytes) -> None:
    found = metadata(head + b"abcd" + explicit(0x00200013, "IS", b"7 "))
    assert found["00189074"] == {"vr": "UN", "InlineBinary": "YWJjZA=="}
    assert found["00200013"]["Value"] == [7]


def test_an_implicit_element_inside_an_explicit_dataset_is_read() -> None:
    dataset = explicit(0x00080060, "CS", b"MR") + implicit(0x00100020, b"P1") + explicit(0x00200013, "IS", b"1 ")
    assert metadata(dataset)["00100020"] == {"vr": "LO", "Value": ["P1"]}


# Trap 2: bulk data


def test_bulk_values_in_items_have_each_their_own_path() -> None:
    big = explicit(0x00091001, "OB", bytes(2000))
    nested = explicit(0x00400275, "SQ", item(big) + item(b""))
    dataset = explicit(0x00081115, "SQ", item(big + nested) + item(big, delimited=True))
    walked = read(dataset)
    assert [value.path for value in walked.bulk] == [
        "00081115/1/00091001", "00081115/1/00400275/1/00091001", "00081115/2/00091001",
    ]  # fmt: skip
    first, _ = orjson.loads(walked.metadata)["00081115"]["Value"]
    assert first["00400275"]["Value"][0]["00091001"] == {"vr": "OB", "BulkDataURI": "00081115/1/00400275/1/00091001"}


def test_binary_values_are_inline_up_to_a_kibibyte() -> None:
    assert "InlineBinary" in one(0x00091001, "OB", bytes(1024))
    assert "BulkDataURI" in one(0x00091001, "OB", bytes(1026))


def test_a_long_text_is_bulk_data() -> None:
    assert "Value" in one(0x0040A160, "UT", b"x" * (64 << 10))
    assert one(0x0040A160, "UT", b"x" * ((64 << 10) + 2)) == {"vr": "UT", "BulkDataURI": "0040A160"}


def test_a_long_value_that_may_not_be_bulk_data_is_un() -> None:
    walked = read(implicit(0x00081030, b"x" * 70_000), IMPLICIT)
    assert orjson.loads(walked.metadata) == {"00081030": {"vr": "UN", "BulkDataURI": "00081030"}}
    assert walked.warnings == ["(0008,1030) is too long for its VR LO; it is given as UN."]


def test_pixel_data_is_bulk_data_however_short() -> None:
    assert one(0x7FE00010, "OB", b"\1\2") == {"vr": "OB", "BulkDataURI": "7FE00010"}


def test_no_value_can_pass_itself_off_as_a_bulk_data_uri() -> None:
    for vr, text in (("LT", b'"BulkDataURI":"'), ("LO", b'","BulkDataURI":"x'), ("PN", b'"BulkDataURI":"')):
        walked = read(explicit(0x00104000 if vr == "LT" else 0x00100010, vr, text))
        assert URI_MEMBER not in walked.metadata
        assert b"BulkDataURI" in walked.metadata


def test_what_is_searched_has_no_binary_values_in_it() -> None:
    inside = explicit(0x00100010, "PN", b"A ") + explicit(0x00091001, "OB", b"\1\2")
    dataset = explicit(0x00081115, "SQ", item(inside)) + explicit(0x00091001, "UN", b"\1\2")
    assert read(dataset).attributes == {
        "00081115": {"vr": "SQ", "Value": [{"00100010": {"vr": "PN", "Value": [{"Alphabetic": "A"}]}}]},
    }


# Trap 3: numbers


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (b"1.10", b"1.10"),
        (b"-0.000 ", b"-0.000"),
        (b"1.5e-3", b"1.5e-3"),
        (b" 40 ", b"40"),
        (b"+5", b"5"),
        (b".5", b"0.5"),
        (b"-.5", b"-0.5"),
        (b"5.", b"5"),
        (b"007.50", b"7.50"),
        (b"0.123456789012345678", b"0.123456789012345678"),
        (b"1,5 ", b'"1,5"'),
        (b"abc ", b'"abc"'),
        (b"1e400 ", b'"1e400"'),
        (b"NaN ", b'"NaN"'),
        (b"- ", b'"-"'),
        (b". ", b'"."'),
        (b"99999999999999999999", b'"99999999999999999999"'),
        (b"1\\\\2.50", b"1,null,2.50"),
        (b"1 \\ 2", b"1,2"),
    ],
)
def test_a_decimal_string_keeps_the_digits_of_the_file(text: bytes, written: bytes) -> None:
    document = read(explicit(0x00281050, "DS", text)).metadata
    assert document == b'{"00281050":{"vr":"DS","Value":[' + written + b"]}}"
    orjson.loads(document)


@pytest.mark.parametrize(
    ("last", "written"),
    [(b"1.50", b"1.50"), (b"", b"null"), (b"+5", b"5"), (b"1e400", b'"1e400"'), (b"[1]", b'"[1]"'), (b"1,5", b'"1,5"')],
)
def test_many_decimal_strings_are_written_as_few_are(last: bytes, written: bytes) -> None:
    document = read(explicit(0x30060050, "DS", b"-12.250\\" * 500 + last)).metadata
    assert document == b'{"30060050":{"vr":"DS","Value":[' + b"-12.250," * 500 + written + b"]}}"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"12", [12]), (b"0012", [12]), (b"+3", [3]), (b"-2147483648", [-2147483648]), (b"3000000000", ["3000000000"]),
        (b"1.5 ", ["1.5"]), (b"1A", ["1A"]), (b"1\\\\3 ", [1, None, 3]),
    ],
)  # fmt: skip
def test_an_integer_string_is_a_number_only_where_it_is_one(text: bytes, value: list[Any]) -> None:
    assert one(0x00201208, "IS", text) == {"vr": "IS", "Value": value}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_float_that_is_no_number_is_bulk_data_and_the_json_stays_valid(number: float) -> None:
    walked = read(explicit(0x00189087, "FD", struct.pack("<2d", 1.5, number)))
    assert orjson.loads(walked.metadata) == {"00189087": {"vr": "FD", "BulkDataURI": "00189087"}}
    assert walked.bulk[0].spans[0].length_bytes == 16


def test_numbers_beyond_a_double_are_strings() -> None:
    assert one(0x00720083, "UV", struct.pack("<2Q", 2**53 - 1, 2**53)) == {
        "vr": "UV", "Value": [2**53 - 1, "9007199254740992"],
    }  # fmt: skip


@pytest.mark.parametrize(("vr", "value"), [("US", b"\1\2\3"), ("FD", b"1234"), ("AT", b"\1\2"), ("UL", b"\1")])
def test_a_value_of_the_wrong_length_costs_only_itself(vr: str, value: bytes) -> None:
    walked = read(explicit(0x00091001, vr, value) + explicit(0x00200013, "IS", b"7 "))
    found = orjson.loads(walked.metadata)
    assert found["00091001"] == {"vr": "UN", "InlineBinary": base64.b64encode(value).decode()}
    assert found["00200013"] == {"vr": "IS", "Value": [7]}
    assert walked.warnings == [f"(0009,1001) is no valid {vr}; its bytes are given as UN."]


# Trap 4: empty values, names, character sets


def test_an_empty_member_is_null_and_an_empty_value_is_absent() -> None:
    assert one(0x00080008, "CS", b"A\\\\B ") == {"vr": "CS", "Value": ["A", None, "B"]}
    assert one(0x00080008, "CS", b"") == {"vr": "CS"}
    assert one(0x00081030, "LO", b"  ") == {"vr": "LO"}
    assert one(0x00081115, "SQ", b"") == {"vr": "SQ"}
    assert one(0x00081115, "SQ", item(b"")) == {"vr": "SQ", "Value": [{}]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"Doe^John", [{"Alphabetic": "Doe^John"}]),
        (b"=I=P", [{"Ideographic": "I", "Phonetic": "P"}]),
        (b"A==", [{"Alphabetic": "A"}]),
        (b"A\\\\B", [{"Alphabetic": "A"}, None, {"Alphabetic": "B"}]),
        (b"A=B=C=D", [{"Alphabetic": "A", "Ideographic": "B", "Phonetic": "C"}]),
    ],
)
def test_a_name_has_the_groups_that_it_has(text: bytes, value: list[Any]) -> None:
    assert one(0x00100010, "PN", text) == {"vr": "PN", "Value": value}


def test_a_name_of_nothing_is_absent() -> None:
    assert one(0x00100010, "PN", b"==") == {"vr": "PN"}


@pytest.mark.parametrize(
    ("charset", "codecs", "name"),
    [
        ("ISO_IR 100", ["latin_1"], "Äneas^Rüdiger"),
        ("ISO_IR 144", ["iso_ir_144"], "Люкceмбypг"),
        ("ISO_IR 127", ["iso_ir_127"], "قباني^لنزار"),
        ("ISO_IR 192", ["UTF8"], "Wang^XiaoDong=王^小东"),
        ("GB18030", ["GB18030"], "Wang^XiaoDong=王^小东"),
        ("\\ISO 2022 IR 87", ["latin_1", "iso2022_jp"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("ISO 2022 IR 13\\ISO 2022 IR 87", ["shift_jis", "iso2022_jp"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        ("\\ISO 2022 IR 149", ["latin_1", "euc_kr"], "Hong^Gildong=洪^吉洞=홍^길동"),
    ],
)
def test_names_in_every_writing_come_out_in_utf_8(charset: str, codecs: list[str], name: str) -> None:
    groups = [b"^".join(encode_string(part, codecs) for part in group.split("^")) for group in name.split("=")]
    dataset = explicit(0x00080005, "CS", charset.encode()) + explicit(0x00100010, "PN", b"=".join(groups))
    walked = read(dataset)
    (value,) = orjson.loads(walked.metadata)["00100010"]["Value"]
    assert "=".join(value.values()) == name
    assert walked.warnings == []


def test_a_backslash_byte_inside_a_two_byte_character_separates_nothing() -> None:
    text = "表^能"  # 0x5C is the second byte of the first character in GBK-like sets and Shift JIS
    dataset = explicit(0x00080005, "CS", b"GB18030 ") + explicit(0x00081030, "LO", "俓\\b".encode("gb18030"))
    assert metadata(dataset)["00081030"]["Value"] == ["俓", "b"]
    assert b"\\" in "俓".encode("gb18030")
    dataset = explicit(0x00080005, "CS", b"\\ISO 2022 IR 87") + explicit(0x00100010, "PN", text.encode("iso2022_jp"))
    assert metadata(dataset)["00100010"]["Value"] == [{"Alphabetic": text}]


def test_items_take_the_character_set_of_what_they_lie_in_unless_they_have_their_own() -> None:
    own = item(explicit(0x00080005, "CS", b"ISO_IR 100") + explicit(0x00080104, "LO", "é".encode("latin-1")))
    inherited = item(explicit(0x00080104, "LO", "é".encode()))
    after = explicit(0x00100010, "PN", "É".encode())
    dataset = explicit(0x00080005, "CS", b"ISO_IR 192") + explicit(0x00081032, "SQ", own + inherited) + after
    found = metadata(dataset)
    assert [entry["00080104"]["Value"] for entry in found["00081032"]["Value"]] == [["é"], ["é"]]
    assert found["00100010"]["Value"] == [{"Alphabetic": "É"}]


@pytest.mark.parametrize(
    ("charset", "text", "shown"),
    [
        (b"", "Müller".encode(), "Müller"),
        (b"", "Müller".encode("latin-1"), "Müller"),
        (b"ISO_IR 999", "Müller".encode(), "Müller"),
        (b"ISO_IR 192", "Müller".encode("latin-1"), "M�ller"),
    ],
)
def test_text_outside_its_character_set_is_kept_with_a_warning(charset: bytes, text: bytes, shown: str) -> None:
    walked = read(explicit(0x00080005, "CS", charset) + explicit(0x00081030, "LO", text))
    assert orjson.loads(walked.metadata)["00081030"]["Value"] == [shown]
    assert any("character set" in warning for warning in walked.warnings)


def test_a_misspelled_character_set_is_understood() -> None:
    dataset = explicit(0x00080005, "CS", b"ISO-IR_100") + explicit(0x00081030, "LO", b"\xe9")
    assert metadata(dataset)["00081030"]["Value"] == ["é"]


def test_control_characters_and_markup_are_data() -> None:
    assert one(0x00104000, "LT", b'a\x00\x1b<script>\n"b\\c') == {"vr": "LT", "Value": ['a\x00\x1b<script>\n"b\\c']}


def test_group_lengths_are_left_out_and_attributes_ascend() -> None:
    dataset = (
        explicit(0x00200013, "IS", b"1 ") + explicit(0x00080000, "UL", b"\1\0\0\0") + explicit(0x00080060, "CS", b"MR")
        + explicit(0x00200013, "IS", b"2 ")
    )  # fmt: skip
    walked = read(dataset)
    assert walked.metadata == b'{"00080060":{"vr":"CS","Value":["MR"]},"00200013":{"vr":"IS","Value":[1]}}'
    assert walked.warnings == ["An attribute stands twice; the first is kept."]


# Trap 7: byte order and implicit VR


def test_big_endian_words_are_given_in_little_endian_order_and_bytes_as_they_are() -> None:
    dataset = (
        explicit(0x00091001, "OW", b"\1\2\3\4", order=">") + explicit(0x00091002, "OB", b"\1\2\3\4", order=">")
        + explicit(0x00280010, "US", b"\1\0", order=">") + explicit(0x00280009, "AT", b"\0\x18\x10\x63", order=">")
    )  # fmt: skip
    found = metadata(dataset, BIG)
    assert base64.b64decode(found["00091001"]["InlineBinary"]) == b"\2\1\4\3"
    assert base64.b64decode(found["00091002"]["InlineBinary"]) == b"\1\2\3\4"
    assert found["00280010"]["Value"] == [256]
    assert found["00280009"]["Value"] == ["00181063"]


@pytest.mark.parametrize(("representation", "vr", "value"), [(0, "US", 65535), (1, "SS", -1)])
def test_pixel_representation_decides_the_vr_of_ambiguous_attributes(representation: int, vr: str, value: int) -> None:
    inside = item(implicit(0x00280120, b"\xff\xff"))
    dataset = (
        implicit(0x00280103, struct.pack("<H", representation)) + implicit(0x00280106, b"\xff\xff")
        + implicit(0x00283000, inside)
    )  # fmt: skip
    found = metadata(dataset, IMPLICIT)
    assert found["00280106"] == {"vr": vr, "Value": [value]}
    assert found["00283000"]["Value"][0]["00280120"] == {"vr": vr, "Value": [value]}


def test_a_dataset_in_another_vr_encoding_than_it_says_is_read_with_a_warning() -> None:
    for dataset, syntax in ((explicit(0x00100020, "LO", b"P1"), IMPLICIT), (implicit(0x00100020, b"P1"), EXPLICIT)):
        walked = read(dataset, syntax)
        assert orjson.loads(walked.metadata)["00100020"] == {"vr": "LO", "Value": ["P1"]}
        assert len(walked.warnings) == 1


# Limits, and what is cut short


def _nested(depth: int) -> bytes:
    inside = b""
    for _ in range(depth):
        inside = explicit(0x00081115, "SQ", item(inside))
    return inside


def test_sequences_may_nest_as_deep_as_the_limit_says() -> None:
    assert "00081115" in metadata(_nested(64))
    with pytest.raises(RefusedInstanceError, match="64 deep"):
        read(_nested(65))
    with pytest.raises(RefusedInstanceError, match="64 deep"):
        read(explicit(0x00081115, "SQ", implicit(0xFFFEE000, b"", 0xFFFFFFFF), 0xFFFFFFFF) * 2000)


def test_elements_and_items_are_counted() -> None:
    with pytest.raises(RefusedInstanceError, match="more than 100 elements"):
        read(explicit(0x00200013, "IS", b"") * 101, limits=Limits(elements=100))
    with pytest.raises(RefusedInstanceError, match="more than 100 elements"):
        read(explicit(0x00081115, "SQ", item(b"") * 101), limits=Limits(elements=100))


def test_metadata_has_a_largest_size() -> None:
    dataset = b"".join(explicit(0x00090000 | number, "LT", b"\1" * 60_000) for number in range(0x1001, 0x1011))
    with pytest.raises(RefusedInstanceError, match="longer than 1000000 bytes"):
        read(dataset, limits=Limits(metadata_bytes=1_000_000))


def test_large_sequences_are_in_the_metadata_but_not_searched() -> None:
    frames = item(explicit(0x00209057, "UL", b"\1\0\0\0") + explicit(0x00204000, "LT", b"x" * 1000)) * 300
    walked = read(explicit(0x00100020, "LO", b"P1") + explicit(0x52009230, "SQ", frames))
    assert len(orjson.loads(walked.metadata)["52009230"]["Value"]) == 300
    assert list(walked.attributes) == ["00100020"]


@pytest.mark.parametrize(
    "dataset",
    [
        explicit(0x00100020, "LO", b"P1", 60),
        explicit(0x00091001, "OB", b"", 0xFFFFFFF0),
        explicit(0x00081115, "SQ", item(b"")[:6]),
        explicit(0x00081115, "SQ", item(b""), 100),
        explicit(0x00081115, "SQ", implicit(0xFFFEE000, b"", 100)),
        explicit(0x00081115, "SQ", item(b""), 0xFFFFFFFF),
        explicit(0x00081115, "SQ", implicit(0xFFFEE000, explicit(0x00080100, "SH", b"A "), 0xFFFFFFFF), 0xFFFFFFFF),
        explicit(0x7FE00010, "OB", implicit(0xFFFEE000, b"") + implicit(0xFFFEE000, b"ab"), 0xFFFFFFFF),
        explicit(0x7FE00010, "OB", implicit(0xFFFEE000, b"") + implicit(0xFFFEE000, b"ab", 2**31), 0xFFFFFFFF),
        explicit(0x00100020, "LO", b"P1") + b"\x20\0\x0d",
        explicit(0x00100020, "LO", b"P1") + b"\x20\0\x0d\0UN\0\0\1",
    ],
)  # fmt: skip
def test_what_is_cut_short_is_refused(dataset: bytes) -> None:
    with pytest.raises(RefusedInstanceError, match="cut short") as refused:
        read(dataset)
    assert refused.value.failure_reason == 0xC000


@pytest.mark.parametrize(
    "dataset",
    [
        explicit(0x00081115, "SQ", explicit(0x00080100, "SH", b"A ")),
        implicit(0xFFFEE00D, b"") + explicit(0x00100020, "LO", b"P1"),
        explicit(0x0040A160, "UT", implicit(0xFFFEE000, b"") + implicit(0xFFFEE0DD, b""), 0xFFFFFFFF),
        explicit(0x7FE00010, "OB", implicit(0xFFFEE000, b"", 0xFFFFFFFF), 0xFFFFFFFF),
        explicit(0x7FE00010, "OB", implicit(0x00100010, b""), 0xFFFFFFFF),
    ],
)
def test_what_is_no_dataset_is_refused(dataset: bytes) -> None:
    with pytest.raises(RefusedInstanceError):
        read(dataset)


def test_zeros_behind_the_last_element_are_padding() -> None:
    for count in (1, 7, 8, 9, 70_000):
        assert list(metadata(explicit(0x00100020, "LO", b"P1") + bytes(count))) == ["00100020"]
    with pytest.raises(RefusedInstanceError):
        read(explicit(0x00100020, "LO", b"P1") + bytes(20) + b"x")
