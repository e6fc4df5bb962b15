"""Metadata: the JSON and XML models keep every attribute (PS3.18 Annex F, §10.4.3.3.2, PS3.19 Annex A)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from conformance.corpus_metadata import (
    BAD_ROWS,
    BIG_BYTES,
    EMPTY_GROUPS,
    EMPTY_MEMBER_ROWS,
    LONG_TEXT,
    NESTED_BYTES,
    VALUE_ROWS,
    ValueRow,
)
from conformance.dataset_json import BINARY, BY_ADDRESS, Attributes, datasets, first, inline_bytes, same_values, values
from conformance.model import Case, Failure, Level, NotApplicable, Service
from conformance.native_xml import NativeAttribute, parse_native
from conformance.probe import JSON, OCTETS, XML, Probe, expect, expect_status, expect_type
from conformance.wire import Response

REQ, REC, OPT, INF = Level.REQUIRED, Level.RECOMMENDED, Level.OPTIONAL, Level.INFORMATIVE


def metadata(probe: Probe, name: str) -> Attributes:
    """Give the metadata of a sample as JSON; asked for once in a run."""
    response = probe.session.metadata_once(probe.sample(name).path, probe)
    expect_status(response, 200)
    found = datasets(response)
    expect(len(found) == 1, f"{len(found)} objects for one instance")
    return found[0]


def bulk_bytes(probe: Probe, url: str) -> bytes:
    """Follow a BulkDataURI and give its bytes; single part and multipart answers are both taken."""
    response = probe.get_url(url, f"{OCTETS}, application/octet-stream;q=0.5, */*;q=0.1")
    expect_status(response, 200)
    if response.media_type.essence == "multipart/related":
        parts = response.parts()
        expect(len(parts) == 1, f"{len(parts)} parts for one bulkdata address")
        return parts[0].body
    return response.body


def _value(sample: str, row: ValueRow, probe: Probe) -> None:
    attribute = metadata(probe, sample).get(f"{row.tag:08X}")
    if attribute is None:
        raise Failure("the attribute is missing")
    expect(attribute.get("vr") == row.vr, f"vr is {attribute.get('vr')}, expected {row.vr}")
    kinds = {"Value", "BulkDataURI", "InlineBinary"} & set(attribute)
    expect(len(kinds) == 1, f"one of Value, BulkDataURI, InlineBinary is wanted; found {sorted(kinds) or 'none'}")
    if "BulkDataURI" in attribute:
        expect(row.vr in BY_ADDRESS, f"BulkDataURI is not allowed for {row.vr}")
        data = bulk_bytes(probe, attribute["BulkDataURI"])
        expect(data.rstrip(b"\0 ") == row.raw.rstrip(b"\0 "), f"the bulkdata is {data[:40]!r}")
    elif row.vr in BINARY:
        expect("InlineBinary" in attribute, f"a binary value stands in Value: {str(attribute)[:120]}")
        data = inline_bytes(attribute)
        expect(data == row.expected, f"the value is {data[:40]!r}, expected {row.expected[:40]!r}")
    else:
        found = attribute.get("Value", [])
        if row.vr in ("LT", "ST", "UT"):  # trailing spaces are not significant
            found = [text.rstrip(" ") if isinstance(text, str) else text for text in found]
        expect(same_values(row.vr, row.expected, found), f"Value is {found}, expected {row.expected}")


def _empty(tags: dict[int, str], probe: Probe) -> None:
    stored = metadata(probe, "empties")
    for tag, vr in tags.items():
        attribute = stored.get(f"{tag:08X}")
        if attribute is None:
            raise Failure(f"the empty attribute {tag:08X} ({vr}) is left out; all attributes are to be kept")
        expect(attribute.get("vr") == vr, f"vr of {tag:08X} is {attribute.get('vr')}, expected {vr}")
        filled = {key: attribute[key] for key in ("Value", "InlineBinary", "BulkDataURI") if key in attribute}
        expect(not filled or filled in ({"Value": []}, {"InlineBinary": ""}), f"an empty {vr} has {filled}")


def _items(what: str, probe: Probe) -> None:
    stored = metadata(probe, "items")
    outer = values(stored, "ReferencedSeriesSequence")
    if what == "nested":
        inner = values(outer[0], "ReferencedInstanceSequence")[0]
        code = values(inner, "PurposeOfReferenceCodeSequence")[0]
        expect(
            first(code, "CodeMeaning") == "Großhirn", f"Code Meaning three levels down is {first(code, 'CodeMeaning')}"
        )
    elif what == "empty-item":
        found = values(outer[0], "ReferencedInstanceSequence")
        expect(len(found) == 2 and found[1] == {}, f"the empty second item is {found[1:]}, expected an empty object")
    elif what == "empty-sequence":
        attribute = stored.get("00081110")
        expect(attribute is not None and not attribute.get("Value"), f"an empty sequence is {attribute}")
    else:
        found = [first(item, "CodeMeaning") for item in values(stored, "AnatomicRegionSequence")]
        expect(found == ["Голова", "頭"], f"Code Meanings are {found}, expected Голова (own character set) and 頭")


def _private(tag: str, vr: tuple[str, ...], expected: Any, probe: Probe) -> None:
    attribute = metadata(probe, "private").get(tag)
    if attribute is None:
        raise Failure(f"the private attribute {tag} is missing")
    expect(attribute.get("vr") in vr, f"vr is {attribute.get('vr')}, expected {' or '.join(vr)}")
    if isinstance(expected, bytes):
        data = bulk_bytes(probe, attribute["BulkDataURI"]) if "BulkDataURI" in attribute else inline_bytes(attribute)
        expect(data == expected, f"the value is {data!r}")
    elif attribute.get("vr") == "UN":
        probe.note("handed out as UN")
    else:
        found = attribute.get("Value")
        expect(same_values(vr[0], expected, found or []), f"Value is {found}, expected {expected}")


def _private_item(probe: Probe) -> None:
    items = metadata(probe, "private").get("00131003", {}).get("Value", [])
    expect(len(items) == 1, "the private sequence has no item")
    expect(
        "00130010" in items[0] and items[0].get("00131005", {}).get("Value") == ["inside"], f"the item is {items[0]}"
    )


def _implicit(probe: Probe) -> None:
    stored = metadata(probe, "implicit")
    expect(first(stored, "SliceThickness") in (3.5, "3.5"), "Slice Thickness is missing or wrong")
    attribute = stored.get("00131001", {})
    expect(
        attribute.get("vr") == "UN", f"a private attribute from implicit VR has vr {attribute.get('vr')}, expected UN"
    )
    expect("InlineBinary" in attribute or "BulkDataURI" in attribute, "its bytes are missing")


def _form(what: str, probe: Probe) -> None:
    stored = metadata(probe, "group-lengths")
    names = list(stored)
    if what == "no-group-length":
        found = [name for name in names if name.endswith("0000")]
        expect(not found, f"group length elements are in the JSON: {found}")
    elif what == "no-meta":
        found = [name for name in names if name.startswith("0002")]
        expect(not found, f"file meta elements are in the JSON: {found}")
    else:
        expect(names == sorted(names), "attributes are not in ascending order")
        expect(all(re.fullmatch("[0-9A-F]{8}", name) for name in names), "a name is not eight capital hex digits")


def _pixel_data(probe: Probe) -> None:
    attribute = metadata(probe, "native-u16").get("7FE00010")
    if attribute is None:
        raise Failure("Pixel Data is left out of the metadata; it shall be there, by address or inline")
    expect(attribute.get("vr") in ("OW", "OB"), f"vr of Pixel Data is {attribute.get('vr')}")
    expect("BulkDataURI" in attribute or "InlineBinary" in attribute, "Pixel Data has neither an address nor a value")


def _big(what: str, probe: Probe) -> None:
    stored = metadata(probe, "big")
    if what == "binary":
        attribute = stored["00720065"]
        data = bulk_bytes(probe, attribute["BulkDataURI"]) if "BulkDataURI" in attribute else inline_bytes(attribute)
        expect(data == BIG_BYTES, "a value of 70,000 bytes comes back changed")
    elif what == "text":
        attribute = stored["00720070"]
        text = (
            bulk_bytes(probe, attribute["BulkDataURI"]).decode()
            if "BulkDataURI" in attribute
            else attribute["Value"][0]
        )
        expect(text.rstrip() == LONG_TEXT.rstrip(), "a long text comes back changed")
    else:
        items = values(stored, "WaveformSequence")
        expect(len(items) == 2, f"{len(items)} items, expected 2")
        found = [item["00720065"] for item in items]
        urls = [attribute["BulkDataURI"] for attribute in found if "BulkDataURI" in attribute]
        if what == "nested-unique":
            if not urls:
                raise NotApplicable("values in items come inline")
            expect(len(set(urls)) == len(urls), "two items have one BulkDataURI")
            return
        parts = tuple(bulk_bytes(probe, a["BulkDataURI"]) if "BulkDataURI" in a else inline_bytes(a) for a in found)
        expect(parts == NESTED_BYTES, "values in items come back changed or swapped")


def _bad_value(row: ValueRow, probe: Probe) -> None:
    """One bad value must not cost the others: the answer is there, is JSON, and holds the rest."""
    response = probe.session.metadata_once(probe.sample(f"bad-{row.id}").path, probe)
    expect_status(response, 200)
    stored = datasets(response)[0]
    expect(first(stored, "PatientID") == f"{probe.corpus.token}-M", "the other attributes are missing")
    expect("Rows" in str(stored) or "00280010" in stored, "the other attributes are missing")


def _bad_value_kept(row: ValueRow, probe: Probe) -> None:
    attribute = metadata(probe, f"bad-{row.id}").get(f"{row.tag:08X}")
    if attribute is None:
        raise Failure("the attribute with the bad value is left out")
    probe.note(f"it is handed out as {attribute}")


def _level(level: str, count: int, probe: Probe) -> None:
    sample = probe.sample("ct1")
    probe.sample("mr3")
    path = {"study": sample.study_path, "series": sample.series_path, "instance": sample.path}[level]
    response = probe.get(f"{path}/metadata", JSON)
    expect_status(response, 200)
    expect_type(response, JSON)
    found = {first(each, "SOPInstanceUID") for each in datasets(response)}
    expect(len(found) == count, f"{len(found)} different instances, {count} are there")


def _xml(probe: Probe, name: str) -> dict[str, NativeAttribute]:
    response: Response = probe.get(f"{probe.sample(name).path}/metadata", XML)
    expect_status(response, 200)
    parts = response.parts()
    expect(len(parts) == 1, f"{len(parts)} parts for one instance")
    expect(parts[0].media_type.essence == "application/dicom+xml", f"the part is {parts[0].header('Content-Type')}")
    return parse_native(parts[0].body)


def _xml_value(row: ValueRow, probe: Probe) -> None:
    attribute = _xml(probe, "values").get(f"{row.tag:08X}")
    if attribute is None:
        raise Failure("the attribute is missing")
    expect(attribute.vr == row.vr, f"vr is {attribute.vr}, expected {row.vr}")
    if attribute.bulk_uri:
        data = bulk_bytes(probe, attribute.bulk_uri)
        expect(data.rstrip(b"\0 ") == row.raw.rstrip(b"\0 "), "the bulkdata differs")
    elif row.vr == "PN":
        expect(attribute.names == row.expected, f"PersonName is {attribute.names}")
    elif row.vr in BINARY:
        expect(attribute.inline == row.expected, f"InlineBinary is {attribute.inline!r}")
    else:
        found = [(text or "").replace("\r\n", "\n").rstrip(" \n") for text in attribute.values]
        # an XML parser hands a line end out as LF (XML 1.0 §2.11)
        wanted = [x.replace("\r\n", "\n").rstrip(" \n") if isinstance(x, str) else x for x in row.expected]
        numeric = row.vr in ("DS", "IS", "FL", "FD", "US", "UL", "SS", "SL", "SV", "UV")
        same = [float(text) for text in found] == [float(x) for x in wanted] if numeric else found == wanted
        expect(same, f"Value is {found}, expected {wanted}")


def _xml_items(probe: Probe) -> None:
    stored = _xml(probe, "items")
    region = [item["00080104"].values for item in stored["00082218"].items]
    expect(region == [["Голова"], ["頭"]], f"Code Meanings are {region}")


def _xml_private(probe: Probe) -> None:
    stored = _xml(probe, "private")
    found = {name: attribute for name, attribute in stored.items() if attribute.private_creator == "CONFORMANCE ONE"}
    expect(bool(found), "no attribute names its privateCreator")


def _xml_keyword(probe: Probe) -> None:
    attribute = _xml(probe, "values")["00100020"]
    expect(attribute.keyword == "PatientID", f"keyword is {attribute.keyword}")


def _xml_study(probe: Probe) -> None:
    response = probe.get(f"{probe.sample('ct1').study_path}/metadata", XML)
    expect_status(response, 200)
    expect(len(response.parts()) == 8, f"{len(response.parts())} parts for 8 instances")


def _case(name: str, section: str, level: Level, requires: str, check: Callable[[Probe], None]) -> Case:
    return Case(name, Service.METADATA, section, level, requires, check)


XML_ROWS = ("cs", "da", "ds", "is", "lo", "lt", "pn", "ui", "us", "fd", "ob", "ut", "at")
CASES = (
    *(
        _case(
            f"W6-json-{level}",
            "10.4.3.3.2",
            REQ,
            "Metadata holds each instance of its resource.",
            partial(_level, level, count),
        )
        for level, count in (("study", 8), ("series", 5), ("instance", 1))
    ),
    *(
        _case(f"F2-value-{row.id}", "F.2.3", REQ, f"{row.vr}: {row.what}.", partial(_value, "values", row))
        for row in VALUE_ROWS
    ),
    *(
        _case(f"F2-null-{row.id}", "F.2.5", REQ, f"{row.vr}: {row.what}.", partial(_value, "members", row))
        for row in EMPTY_MEMBER_ROWS
    ),
    *(
        _case(
            f"F2-empty-{name}",
            "F.2.5",
            REQ,
            f"An attribute without a value stays, without Value: {what}.",
            partial(_empty, tags),
        )
        for name, what, tags in EMPTY_GROUPS
    ),
    *(
        _case(f"F2-items-{name}", section, REQ, says, partial(_items, name))
        for name, section, says in (
            ("nested", "F.2.2", "Sequences in sequences are kept."),
            ("empty-item", "F.2.2", "An empty item is an empty object."),
            ("empty-sequence", "F.2.5", "A sequence without items stays, without Value."),
            ("charset", "PS3.5 6.1.2.3", "An item's own character set holds for it; the data set's for the others."),
        )
    ),
    *(
        _case(f"F3-private-{name}", "F.2.2, 10.4.3.3.2", REQ, says, partial(_private, tag, vr, expected))
        for name, tag, vr, expected, says in (
            ("creator", "00130010", ("LO",), ["CONFORMANCE ONE"], "A private creator is kept."),
            ("second-creator", "00130011", ("LO",), ["CONFORMANCE TWO"], "A second private creator is kept."),
            ("text", "00131001", ("LO", "UN"), ["first block"], "A private text is kept."),
            ("number", "00131101", ("DS", "UN"), [2.5], "A private number is kept."),
            (
                "unknown",
                "00131102",
                ("UN",),
                b"\xde\xad\xbe\xef",
                "A private value of unknown representation keeps its bytes.",
            ),
        )
    ),
    _case("F3-private-sequence", "F.2.2", REQ, "A private sequence keeps its items.", _private_item),
    _case("F3-implicit-private", "F.2.2", REC, "A private attribute that came in implicit VR is UN.", _implicit),
    _case(
        "W27-no-group-length", "F.2.2", REQ, "Group length elements are left out.", partial(_form, "no-group-length")
    ),
    _case(
        "W6-no-file-meta",
        "10.4.1.1.2",
        REQ,
        "File Meta Information is no part of the metadata.",
        partial(_form, "no-meta"),
    ),
    _case(
        "W27-ascending-metadata",
        "F.2.2",
        REQ,
        "Attributes ascend and have capital hex names.",
        partial(_form, "ascending"),
    ),
    _case("W6-pixel-data", "10.4.3.3.2", REQ, "Pixel Data is in the metadata by its address.", _pixel_data),
    *(
        _case(f"W7-big-{name}", section, REQ, says, partial(_big, name))
        for name, section, says in (
            ("binary", "F.2.6", "A large binary value is kept."),
            ("text", "F.2.6", "A large text is kept."),
            ("nested", "F.2.6", "Large values in two items are kept apart."),
            ("nested-unique", "F.2.6", "Large values in two items have addresses of their own."),
        )
    ),
    *(
        _case(
            f"D3-bad-{row.id}",
            "F.2.3, RFC 8259",
            REC if row.id not in ("fd-nan", "fl-infinity") else REQ,
            f"{row.what.capitalize()}: the metadata is valid JSON and keeps the rest.",
            partial(_bad_value, row),
        )
        for row in BAD_ROWS
    ),
    *(
        _case(
            f"D3-kept-{row.id}",
            "10.4.3.3.2",
            INF,
            f"{row.what.capitalize()}: the attribute is not dropped.",
            partial(_bad_value_kept, row),
        )
        for row in BAD_ROWS
    ),
    *(
        _case(f"X-value-{row.id}", "8.7.3.2, PS3.19 A.1", REQ, f"XML, {row.vr}: {row.what}.", partial(_xml_value, row))
        for row in VALUE_ROWS
        if row.id in XML_ROWS
    ),
    _case("X-items", "PS3.19 A.1", REQ, "XML keeps items and their character sets.", _xml_items),
    _case(
        "X-private-creator", "PS3.19 A.1.5", REQ, "XML names the privateCreator of private attributes.", _xml_private
    ),
    _case("X-keyword", "PS3.19 A.1.5", REQ, "XML names the keyword of public attributes.", _xml_keyword),
    _case("X-study", "10.4.4", REQ, "The XML metadata of a study has one part for each instance.", _xml_study),
)
