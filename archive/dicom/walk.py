"""One walk over the bytes of a dataset: its DICOM JSON object (PS3.18 F), and where its large values lie.

Works on a mapped file: values that are given as BulkDataURI are passed over, never read. One bad element never costs
the rest: what cannot be read as its VR says is given as UN with its bytes, and a warning.
"""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from mmap import mmap
from typing import Any

import orjson

from archive.dicom.charset import CharacterSets, character_sets
from archive.dicom.dictionary import public_vr
from archive.dicom.elements import ITEM, ITEM_END, SEQUENCE_END, UNDEFINED, Event, dataset_elements
from archive.dicom.part10 import FileMeta, Limits, refuse
from archive.dicom.values import BINARY_VRS, ENCODERS, NotFiniteError, UndecodableTextError, little_endian
from archive.instances import Buffer, Span

BULK_BINARY_BYTES = 1024
"""Longer values of binary VRs become BulkDataURI."""
BULK_TEXT_BYTES = 64 << 10
"""Longer values of the other VRs do too; those that may not (PS3.18 §10.4.3.3.2) are given as UN then."""
BULK_VRS = frozenset(("DS", "FL", "FD", "IS", "LT", "SL", "SS", "ST", "SV", "UC", "UL", "US", "UT", "UV")) | BINARY_VRS
SEARCHED_BYTES = 256 << 10
"""Top-level attributes whose JSON is longer (functional groups of thousands of frames) are not kept for search."""
PIXEL_TAGS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
OFFSET_TABLE_TAGS = frozenset((0x7FE00001, 0x7FE00002))
SPECIFIC_CHARACTER_SET = 0x00080005
CACHED_BYTES = 64
MAXIMUM_WARNINGS = 20
URI_MEMBER = b'"BulkDataURI":"'
"""Stands in the JSON only where a value is in the bulk data: quotes inside of strings are escaped."""

Json = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class BulkValue:
    """A value that is not in the JSON. `spans` lie in the walked bytes: several where it is encapsulated.

    `offset_table` is the first item of encapsulated pixel data (PS3.5 A.4).
    """

    path: str
    tag: int
    vr: str
    spans: tuple[Span, ...]
    big_endian: bool = False
    encapsulated: bool = False
    offset_table: Span | None = None


@dataclass(slots=True)
class Walked:
    """What a walk found.

    `data` is what the spans lie in: the file, or the inflated dataset. `metadata` is the JSON object; its BulkDataURIs
    are the paths of `bulk`. `attributes` is the same object parsed, without binary values and without what is too
    large to be searched; standard attributes that were written as UN have their own VR in it. `offset_tables` are the
    values of the Extended Offset Table, by tag.
    """

    data: Buffer
    metadata: bytes = b"{}"
    attributes: Json = field(default_factory=dict)
    bulk: list[BulkValue] = field(default_factory=list)
    offset_tables: dict[int, Span] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def walk(data: Buffer, meta: FileMeta, limits: Limits) -> Walked:
    """Walk the whole dataset. Raises RefusedInstanceError when it is cut short or over a limit."""
    dataset = dataset_elements(data, meta, limits)
    walked = Walked(dataset.data, warnings=list(dataset.warnings))
    _Writer(walked, limits, big_endian=dataset.big_endian).write(dataset.events)
    return walked


class _Dataset:
    """The dataset or item being written: `parts` are its members, `'"GGGGEEEE":{…}'` each."""

    __slots__ = ("binary", "items", "parts", "previous", "sequence_tag", "sets", "sorted")

    def __init__(self, sets: CharacterSets) -> None:
        self.parts: list[bytes] = []
        self.sets = sets
        self.previous = -1
        self.sorted = True
        self.sequence_tag = 0
        self.items: list[bytes] = []
        self.binary: set[bytes] = set()

    def close(self) -> bool:
        """Bring the members into ascending order; whether one stood twice. The first is kept."""
        if self.sorted:
            return False
        unique: dict[bytes, bytes] = {}
        for part in self.parts:
            unique.setdefault(part[:10], part)
        twice = len(unique) != len(self.parts)
        self.parts = [unique[key] for key in sorted(unique)]
        return twice


@lru_cache(maxsize=1 << 13)
def _head(tag: int, vr: str) -> bytes:
    return b'"%08X":{"vr":"%b"' % (tag, vr.encode())


def _member(tag: int, vr: str, value: bytes, sets: CharacterSets, big_endian: bool) -> bytes:
    encoded = ENCODERS[vr](value, sets, big_endian)
    return _head(tag, vr) + b',"Value":[' + encoded + b"]}" if encoded else _head(tag, vr) + b"}"


# Most short values of an instance are those of the instance before it.
_cached_member = lru_cache(maxsize=1 << 13)(_member)


def _sliceable(data: Buffer) -> Any:
    """What `data` is a view of, where it shows all of it: slices of a mapping are bytes at once."""
    if isinstance(data, memoryview) and isinstance(data.obj, (bytes, mmap)) and len(data.obj) == data.nbytes:
        return data.obj
    return data


class _Writer:
    def __init__(self, walked: Walked, limits: Limits, *, big_endian: bool) -> None:
        self._walked = walked
        self._data = walked.data
        self._left = limits.metadata_bytes
        self._limit = limits.metadata_bytes
        self._big = big_endian
        self._understood: list[bytes] = []
        self._dataset = _Dataset(character_sets(b""))
        self._outer: list[_Dataset] = []

    def write(self, events: Iterator[Event]) -> None:
        data, big = _sliceable(self._data), self._big
        dataset = self._dataset
        for event in events:
            tag, vr, offset, length = event
            if vr not in ENCODERS or length > BULK_TEXT_BYTES:
                self._other(event, events)
                dataset = self._dataset
                continue
            if not tag & 0xFFFF:
                continue  # group lengths are left out (F.2.5)
            value = bytes(data[offset : offset + length])
            try:
                part = (_cached_member if length <= CACHED_BYTES else _member)(tag, vr, value, dataset.sets, big)
            except ValueError as error:
                self._odd(event, error)
                continue
            if tag == SPECIFIC_CHARACTER_SET:
                self._use_character_sets(value)
            self._left -= len(part)
            if self._left < 0 or tag <= dataset.previous:
                self._check(tag)
            dataset.previous = tag
            dataset.parts.append(part)
        self._finish()

    def _check(self, tag: int) -> None:
        if self._left < 0:
            raise refuse(f"The metadata of the instance would be longer than {self._limit} bytes.")
        if tag <= self._dataset.previous:
            self._dataset.sorted = False

    def _add(self, tag: int, part: bytes) -> None:
        self._left -= len(part)
        self._check(tag)
        self._dataset.previous = tag
        self._dataset.parts.append(part)

    def _use_character_sets(self, value: bytes) -> None:
        self._dataset.sets = character_sets(value)
        if self._dataset.sets.unknown:
            self._warn("(0008,0005) names a character set that is not known; text is read as well as it can be.")

    def _other(self, event: Event, events: Iterator[Event]) -> None:
        """What is not a short value of a VR that has JSON values."""
        tag, vr, offset, length = event
        if tag == ITEM:
            self._begin_item()
        elif tag == ITEM_END:
            self._end_item()
        elif tag == SEQUENCE_END:
            self._end_sequence()
        elif vr == "SQ":
            self._dataset.sequence_tag = tag
            self._dataset.items = []
        elif length == UNDEFINED:
            self._encapsulated(tag, vr, events)
        elif tag & 0xFFFF:
            self._binary(tag, vr, Span(offset, length))

    def _begin_item(self) -> None:
        self._outer.append(self._dataset)
        self._dataset = _Dataset(self._dataset.sets)

    def _end_item(self) -> None:
        item = self._dataset
        self._close(item)
        self._dataset = self._outer.pop()
        self._dataset.items.append(b"{%b}" % b",".join(item.parts))
        if item.binary:
            self._dataset.binary.add(b"%08X" % self._dataset.sequence_tag)

    def _end_sequence(self) -> None:
        dataset = self._dataset
        value = b',"Value":[%b]' % b",".join(dataset.items) if dataset.items else b""
        self._left += len(value)  # its items were counted when they were written
        self._add(dataset.sequence_tag, b'"%08X":{"vr":"SQ"%b}' % (dataset.sequence_tag, value))
        dataset.items = []

    def _close(self, dataset: _Dataset) -> None:
        if dataset.close():
            self._warn("An attribute stands twice; the first is kept.")

    def _path(self, tag: int) -> str:
        outer = "".join(f"{one.sequence_tag:08X}/{len(one.items) + 1}/" for one in self._outer)
        return f"{outer}{tag:08X}"

    def _odd(self, event: Event, error: ValueError) -> None:
        """A value that is not what its VR says."""
        tag, vr, offset, length = event
        name = f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
        if isinstance(error, UndecodableTextError):
            self._warn(f"{name} has text outside its character set; it is read as well as it can be.")
            value = b',"Value":[%b]' % error.encoded if error.encoded else b""
            self._add(tag, b'"%08X":{"vr":"%b"%b}' % (tag, vr.encode(), value))
        elif isinstance(error, NotFiniteError):
            self._warn(f"{name} has numbers that JSON cannot write; it is given as bulk data.")
            self._bulk(BulkValue(self._path(tag), tag, vr, (Span(offset, length),), self._big))
        else:
            self._warn(f"{name} is no valid {vr}; its bytes are given as UN.")
            self._binary(tag, "UN", Span(offset, length))

    def _binary(self, tag: int, vr: str, span: Span) -> None:
        """A binary value, or one of another VR that is too long to stand in the JSON."""
        if tag in OFFSET_TABLE_TAGS and not self._outer:
            self._walked.offset_tables[tag] = span
        if vr not in BULK_VRS:
            self._warn(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) is too long for its VR {vr}; it is given as UN.")
            vr = "UN"
        if span.length_bytes and (tag in PIXEL_TAGS or span.length_bytes > BULK_BINARY_BYTES):
            self._bulk(BulkValue(self._path(tag), tag, vr, (span,), self._big))
            return
        value = bytes(self._data[span.offset : span.offset + span.length_bytes])
        if not value:
            self._add(tag, _head(tag, vr) + b"}")
            return
        if vr == "UN" and not self._outer:
            self._understand(tag, value)
        inline = b64encode(little_endian(value, vr) if self._big else value)
        self._dataset.binary.add(b"%08X" % tag)
        self._add(tag, b'"%08X":{"vr":"%b","InlineBinary":"%b"}' % (tag, vr.encode(), inline))

    def _understand(self, tag: int, value: bytes) -> None:
        """What a standard attribute written as UN says: for search and the names of the instance, not for metadata."""
        if tag == SPECIFIC_CHARACTER_SET:
            self._use_character_sets(value)
        vr = public_vr(tag)
        if vr in ENCODERS:
            try:
                # PS3.5 §6.2.2: the value of UN is in little endian order, whatever the syntax.
                self._understood.append(_member(tag, vr, value, self._dataset.sets, False))
            except ValueError:
                return

    def _encapsulated(self, tag: int, vr: str, events: Iterator[Event]) -> None:
        spans: list[Span] = []
        for fragment_tag, _, offset, length in events:
            if fragment_tag == SEQUENCE_END:
                break
            spans.append(Span(offset, length))
        table = spans[0] if spans else None
        value = BulkValue(self._path(tag), tag, vr, tuple(spans[1:]), encapsulated=True, offset_table=table)
        self._bulk(value)

    def _bulk(self, value: BulkValue) -> None:
        if not value.spans:
            self._add(value.tag, b'"%08X":{"vr":"%b"}' % (value.tag, value.vr.encode()))
            return
        self._walked.bulk.append(value)
        self._dataset.binary.add(b"%08X" % value.tag)
        parts = (value.tag, value.vr.encode(), URI_MEMBER, value.path.encode())
        self._add(value.tag, b'"%08X":{"vr":"%b",%b%b"}' % parts)

    def _finish(self) -> None:
        dataset = self._dataset
        self._close(dataset)
        self._walked.metadata = b"{%b}" % b",".join(dataset.parts)
        searched = self._walked.metadata
        if len(searched) > SEARCHED_BYTES:
            searched = b"{%b}" % b",".join(part for part in dataset.parts if len(part) <= SEARCHED_BYTES)
        attributes: Json = orjson.loads(searched)
        for tag in dataset.binary:
            _leave_out_binary(attributes, tag.decode())
        if self._understood:
            attributes |= orjson.loads(b"{%b}" % b",".join(self._understood))
        self._walked.attributes = attributes

    def _warn(self, sentence: str) -> None:
        if len(self._walked.warnings) < MAXIMUM_WARNINGS and sentence not in self._walked.warnings:
            self._walked.warnings.append(sentence)


def _leave_out_binary(attributes: Json, tag: str) -> None:
    """Take out an attribute that has no searchable value, or what of it has none."""
    entry = attributes.get(tag)
    if entry is None:
        return
    if "BulkDataURI" in entry or "InlineBinary" in entry:
        del attributes[tag]
        return
    if entry["vr"] == "SQ":
        for item in entry.get("Value", ()):
            for inner in list(item):
                _leave_out_binary(item, inner)
