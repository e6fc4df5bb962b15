"""The Native DICOM Model in XML (PS3.19 A.1) from a DICOM JSON object, and back.

Reading knows no DTD and no entities: a document with a DOCTYPE is refused, so nothing is ever expanded or fetched.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from pydicom.datadict import keyword_for_tag

from archive.errors import BadRequestError

NAMESPACE = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
MAXIMUM_DEPTH = 64
"""How deep sequences may nest in what is read."""
NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
NAME_PARTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
INTEGER_VRS = frozenset(("SL", "SS", "SV", "UL", "US", "UV"))
FLOAT_VRS = frozenset(("FD", "FL"))

_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAG = re.compile(r"[0-9A-Fa-f]{8}", re.ASCII)
_VR = re.compile(r"[A-Z]{2}", re.ASCII)

Json = dict[str, dict[str, Any]]


def to_xml(dataset: Mapping[str, Mapping[str, Any]]) -> bytes:
    """The document of a DICOM JSON object. Characters that XML 1.0 cannot hold become U+FFFD."""
    parts = [f'<?xml version="1.0" encoding="UTF-8"?>\n<NativeDicomModel xmlns="{NAMESPACE}" xml:space="preserve">']
    _write_dataset(dataset, parts)
    parts.append("</NativeDicomModel>")
    return "".join(parts).encode()


def _write_dataset(dataset: Mapping[str, Mapping[str, Any]], parts: list[str]) -> None:
    for tag, entry in dataset.items():
        keyword = keyword_for_tag(int(tag, 16))
        parts.append(f'<DicomAttribute tag="{tag}" vr="{entry["vr"]}"')
        if keyword:
            parts.append(f' keyword="{keyword}"')
        creator = _creator(dataset, tag)
        if creator:
            parts.append(f" privateCreator={quoteattr(_writable(creator))}")
        parts.append(">")
        _write_entry(entry, parts)
        parts.append("</DicomAttribute>")


def _creator(dataset: Mapping[str, Mapping[str, Any]], tag: str) -> str:
    """Who reserved the block of a private attribute (PS3.5 §7.8.1)."""
    if int(tag[3], 16) % 2 == 0 or tag[4:6] == "00":
        return ""
    values = dataset.get(f"{tag[:4]}00{tag[4:6]}", {}).get("Value")
    return str(values[0]) if values else ""


def _write_entry(entry: Mapping[str, Any], parts: list[str]) -> None:
    if "BulkDataURI" in entry:
        parts.append(f"<BulkData uri={quoteattr(_writable(entry['BulkDataURI']))}/>")
    elif "InlineBinary" in entry:
        parts.append(f"<InlineBinary>{escape(entry['InlineBinary'])}</InlineBinary>")
    for number, value in enumerate(entry.get("Value", ()), 1):
        if entry["vr"] == "SQ":
            parts.append(f'<Item number="{number}">')
            _write_dataset(value or {}, parts)
            parts.append("</Item>")
        elif value is None:
            continue  # an empty value is a number that is left out
        elif entry["vr"] == "PN":
            parts.append(f'<PersonName number="{number}">')
            _write_name(value, parts)
            parts.append("</PersonName>")
        else:
            parts.append(f'<Value number="{number}">{escape(_writable(str(value)))}</Value>')


def _write_name(name: Mapping[str, str], parts: list[str]) -> None:
    for group in NAME_GROUPS:
        if not name.get(group):
            continue
        parts.append(f"<{group}>")
        for part, text in zip(NAME_PARTS, name[group].split("^", 4), strict=False):
            if text:
                parts.append(f"<{part}>{escape(_writable(text))}</{part}>")
        parts.append(f"</{group}>")


def _writable(text: str) -> str:
    return _UNWRITABLE.sub("\ufffd", text)


def parse_xml(document: bytes) -> Json:
    """The DICOM JSON object of a Native DICOM Model document.

    Raises BadRequestError when it is not well-formed, has a DOCTYPE, or is no such model.
    """
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        parser.Parse(document, True)
    except (expat.ExpatError, LookupError):  # the second is for an encoding that nobody knows
        raise BadRequestError("The XML metadata is not well-formed.") from None
    if reader.root is None:
        raise BadRequestError("The XML metadata is no Native DICOM Model (PS3.19 A.1).")
    return reader.root


@dataclass(slots=True)
class _Attribute:
    tag: str
    vr: str
    values: dict[int, Any] = field(default_factory=dict)
    binary: dict[str, str] = field(default_factory=dict)


class _Reader:
    """Builds the object as elements begin and end; a stack of datasets and of the attributes being read."""

    def __init__(self) -> None:
        self.root: Json | None = None
        self._datasets: list[Json] = []
        self._attributes: list[_Attribute] = []
        self._numbers: list[int] = []
        self._name: dict[str, list[str]] = {}
        self._group = ""
        self._pieces: list[str] = []
        self._names: list[str] = []
        self._starts: Mapping[str, Callable[[dict[str, str]], None]] = {
            "NativeDicomModel": self._start_model,
            "DicomAttribute": self._start_attribute,
            "Item": self._start_item,
            "Value": self._start_value,
            "PersonName": self._start_value,
            "BulkData": self._start_bulk,
        }

    def doctype(self, *_declaration: object) -> None:
        raise BadRequestError("XML metadata with a DOCTYPE is not read.")

    def start(self, qualified: str, attributes: dict[str, str]) -> None:
        name = qualified.rpartition(" ")[2]
        if (name == "NativeDicomModel") != (not self._names):
            raise BadRequestError("The XML metadata is no Native DICOM Model (PS3.19 A.1).")
        self._names.append(name)
        self._pieces.clear()
        if name in self._starts:
            self._starts[name](attributes)
        elif name in NAME_GROUPS:
            self._group = name
            self._name[name] = [""] * len(NAME_PARTS)

    def text(self, text: str) -> None:
        self._pieces.append(text)

    def end(self, qualified: str) -> None:
        name = self._names.pop()
        text = "".join(self._pieces)
        if name == "DicomAttribute":
            self._end_attribute()
        elif name == "Item":
            self._attributes[-1].values[self._numbers.pop()] = self._datasets.pop()
        elif name == "Value":
            attribute = self._attributes[-1]
            attribute.values[self._numbers.pop()] = _typed(text, attribute.vr)
        elif name == "PersonName":
            groups = {group: "^".join(parts).rstrip("^") for group, parts in self._name.items()}
            self._attributes[-1].values[self._numbers.pop()] = {key: value for key, value in groups.items() if value}
        elif name in NAME_PARTS and self._group in self._name:
            self._name[self._group][NAME_PARTS.index(name)] = text
        elif name == "InlineBinary":
            self._open_attribute().binary["InlineBinary"] = "".join(text.split())
        self._pieces.clear()

    def _start_model(self, _attributes: dict[str, str]) -> None:
        self.root = {}
        self._datasets.append(self.root)

    def _start_attribute(self, attributes: dict[str, str]) -> None:
        tag, vr = attributes.get("tag", ""), attributes.get("vr", "")
        if _TAG.fullmatch(tag) is None or _VR.fullmatch(vr) is None:
            raise BadRequestError("A DicomAttribute of the XML metadata has no valid tag or VR.")
        if len(self._datasets) != len(self._attributes) + 1:
            raise BadRequestError("A DicomAttribute of the XML metadata stands in another, outside an Item.")
        self._attributes.append(_Attribute(tag.upper(), vr))

    def _start_item(self, attributes: dict[str, str]) -> None:
        self._start_value(attributes)
        if len(self._datasets) > MAXIMUM_DEPTH:
            raise BadRequestError(f"Sequences of the XML metadata are nested more than {MAXIMUM_DEPTH} deep.")
        self._datasets.append({})

    def _start_value(self, attributes: dict[str, str]) -> None:
        number = attributes.get("number", "")
        if not (number.isascii() and number.isdigit() and len(number) <= 7 and int(number) > 0):
            raise BadRequestError("A value of the XML metadata has no number.")
        self._open_attribute()
        self._numbers.append(int(number))
        self._name = {}

    def _start_bulk(self, attributes: dict[str, str]) -> None:
        self._open_attribute().binary["BulkDataURI"] = attributes.get("uri", "")

    def _open_attribute(self) -> _Attribute:
        if not self._attributes or len(self._datasets) != len(self._attributes):
            raise BadRequestError("A value of the XML metadata stands outside a DicomAttribute.")
        return self._attributes[-1]

    def _end_attribute(self) -> None:
        attribute = self._attributes.pop()
        entry: dict[str, Any] = {"vr": attribute.vr, **attribute.binary}
        if attribute.values and not attribute.binary:
            last = max(attribute.values)
            if last > len(attribute.values) * 64 + 64:
                raise BadRequestError("The values of the XML metadata are numbered with gaps.")
            entry["Value"] = [attribute.values.get(number) for number in range(1, last + 1)]
        self._datasets[-1][attribute.tag] = entry


def _typed(text: str, vr: str) -> int | float | str | None:
    """The text as the JSON type of its VR; what is no number stays a string, for the reader of the JSON to judge."""
    if vr in INTEGER_VRS:
        try:
            return int(text)
        except ValueError:
            return text
    if vr in FLOAT_VRS:
        try:
            return float(text)
        except ValueError:
            return text
    return text or None
