"""Attributes of a stored instance set to other values, what they were before recorded beside (PS3.3 C.12.1.1.9). Pure.

Coercion on receipt and the reconciliation of a patient are the same act: a few attributes of the dataset's top level
change, an item of the Original Attributes Sequence (0400,0561) says what they were, and every other byte stays as it
is, in every transfer syntax. Values are passed over, not read, so the file may be of any size.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from pydicom.datadict import tag_for_keyword

from archive.dicom.charset import CharacterSets, character_sets
from archive.dicom.dictionary import public_vr
from archive.dicom.elements import LONG_VRS, SEQUENCE_END, SHORT_VRS, UNDEFINED, Event, dataset_elements
from archive.dicom.part10 import Limits, read_file_meta
from archive.errors import BadRequestError, RefusedInstanceError
from archive.instances import Buffer

SPECIFIC_CHARACTER_SET = 0x00080005
PATIENT_ID, ISSUER_OF_PATIENT_ID = 0x00100020, 0x00100021
ORIGINAL_ATTRIBUTES = 0x04000561
LENGTH_TO_END = 0x00080001
MODIFIED_ATTRIBUTES = 0x04000550
MODIFICATION_DATE_TIME, MODIFYING_SYSTEM = 0x04000562, 0x04000563
SOURCE_OF_PREVIOUS_VALUES, REASON = 0x04000564, 0x04000565
COERCED_VRS = frozenset(
    ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT")
)
"""What can be given as text; UIDs are not among them: who changes those makes another instance."""
PROCESSING_FAILURE = 0x0110
BLOCK_BYTES = 1 << 20
MAXIMUM_ORIGINAL_BYTES = 64 << 10
"""A previous value that is longer is not taken for the text that these attributes are."""
_LONG = frozenset(LONG_VRS)
_VRS = frozenset(vr.encode() for vr in (*SHORT_VRS, *LONG_VRS))


@dataclass(frozen=True, slots=True)
class Coercion:
    """What to change, and what is said about it.

    `changes` maps tags of the top level to values: text, several joined by a backslash, empty for no value. `missing`
    does so for instances that have no value of their own. `system` is who changes, `source` where the previous values
    came from. COERCE is the reason on receipt, CORRECT when what was wrong is put right.

    Raises BadRequestError for an attribute that is not text or must not be changed so.
    """

    changes: Mapping[int, str] = field(default_factory=dict)
    missing: Mapping[int, str] = field(default_factory=dict)
    system: str = "Lightbox"
    source: str = ""
    reason: Literal["COERCE", "CORRECT"] = "COERCE"

    def __post_init__(self) -> None:
        for tag in (*self.changes, *self.missing):
            if tag == SPECIFIC_CHARACTER_SET or public_vr(tag) not in COERCED_VRS or tag >> 16 <= 0x0002:
                raise BadRequestError(f"{_name(tag)} cannot be set: it is no text attribute of a dataset.")

    def __bool__(self) -> bool:
        return bool(self.changes or self.missing)


def by_tag(values: Mapping[str, str]) -> dict[int, str]:
    """Values by keyword (PS3.6) → by tag. Raises BadRequestError for a keyword that there is not."""
    tags = {keyword: tag_for_keyword(keyword) for keyword in values}
    for keyword, tag in tags.items():
        if tag is None:
            raise BadRequestError(f"{keyword} is no keyword of an attribute.")
    return {tag: values[keyword] for keyword, tag in tags.items() if tag is not None}


@dataclass(frozen=True, slots=True)
class CoercedFile:
    """The file that results: `head` is everything before the dataset, `pieces` are new bytes and ranges of `data`."""

    head: Buffer
    data: Buffer
    pieces: tuple[bytes | slice, ...]
    deflated: bool

    def blocks(self) -> Iterator[Buffer]:
        """The whole file, in blocks of bounded size."""
        yield self.head
        if not self.deflated:
            yield from self._plain()
            return
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        length_bytes = 0
        for block in self._plain():
            packed = packer.compress(block)
            length_bytes += len(packed)
            yield packed
        packed = packer.flush()
        yield packed + bytes((length_bytes + len(packed)) % 2)  # PS3.5 A.5: padded to an even length

    def _plain(self) -> Iterator[Buffer]:
        for piece in self.pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            for start in range(piece.start, piece.stop, BLOCK_BYTES):
                yield self.data[start : min(piece.stop, start + BLOCK_BYTES)]


def coerce(
    data: Buffer,
    coercion: Coercion,
    now: datetime,
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> CoercedFile | None:
    """The Part 10 file `data` with the changes made; None where it has all these values already.

    Raises
    ------
    RefusedInstanceError
        The file cannot be read, or a value cannot be written in its character set; names the attribute.
    """
    meta = read_file_meta(data, limits)
    dataset = dataset_elements(data, meta, limits)
    elements = list(_top_level(dataset.events, dataset.start))
    style = _Style(dataset.explicit, ">" if dataset.big_endian else "<")
    edit = _Edit(dataset.data, elements, style)
    if not edit.change(coercion):
        return None
    edit.record(coercion, now)
    head = data[: meta.dataset_offset]
    return CoercedFile(head, dataset.data, edit.pieces(dataset.start), meta.deflated)


@dataclass(frozen=True, slots=True)
class _Element:
    """A top-level element: from `start` to `end`, its value at `offset`; `length` is UNDEFINED where it says so."""

    tag: int
    vr: str
    start: int
    offset: int
    length: int
    end: int


def _top_level(events: Iterable[Event], start: int) -> Iterator[_Element]:
    depth, opened = 0, (0, "", 0, 0)
    for tag, vr, offset, length in events:
        if tag == SEQUENCE_END:
            depth -= 1
            if depth:
                continue
            tag, vr, value, length = opened
            yield _Element(tag, vr, start, value, length, offset)
            start = offset
        elif vr == "SQ" or (vr and length == UNDEFINED):
            if not depth:
                opened = (tag, vr, offset, length)
            depth += 1
        elif not depth:
            yield _Element(tag, vr, start, offset, length, offset + length)
            start = offset + length


@dataclass(frozen=True, slots=True)
class _Style:
    """How heads are written."""

    explicit: bool
    order: str

    def element(self, tag: int, vr: str, value: bytes) -> bytes:
        value += (b"\0" if vr in ("UI", "UN", "OB") else b" ") * (len(value) % 2)
        return self.head(tag, vr, len(value)) + value

    def head(self, tag: int, vr: str, length: int) -> bytes:
        group, element = tag >> 16, tag & 0xFFFF
        if not self.explicit:
            return struct.pack(self.order + "HHI", group, element, length)
        if vr in _LONG:
            return struct.pack(self.order + "HH2sHI", group, element, vr.encode(), 0, length)
        return struct.pack(self.order + "HH2sH", group, element, vr.encode(), length)

    def item(self, content: bytes) -> bytes:
        return struct.pack(self.order + "HHI", 0xFFFE, 0xE000, len(content)) + content


class _Edit:
    """The changes of one dataset: `_new` holds, by tag, what stands in an element's place."""

    def __init__(self, data: Buffer, elements: list[_Element], style: _Style) -> None:
        self._data = data
        self._elements = elements
        self._style = style
        self._by_tag: dict[int, _Element] = {}
        for element in elements:
            self._by_tag.setdefault(element.tag, element)
        self._new: dict[int, bytes] = {}
        self._previous: dict[int, tuple[str, bytes]] = {}
        self._sets = character_sets(b"")

    def change(self, coercion: Coercion) -> bool:
        """Set the values; whether any of them is another one than it was."""
        wanted = dict(coercion.changes)
        for tag, text in coercion.missing.items():
            if tag not in wanted and not self._value(tag).strip(b"\0 "):
                wanted[tag] = text
        named = self._value(SPECIFIC_CHARACTER_SET)
        sets = character_sets(named)
        changed = {tag: text for tag, text in wanted.items() if not self._has(tag, text, sets)}
        terms = self._terms((*changed.values(), coercion.system, coercion.source))
        self._sets = character_sets(terms)
        for tag, text in changed.items():
            self._set(tag, _encoded(tag, text, self._sets))
        if changed and terms != named:
            self._set(SPECIFIC_CHARACTER_SET, terms)
        return bool(changed)

    def _has(self, tag: int, text: str, sets: CharacterSets) -> bool:
        if tag not in self._by_tag:
            return not text.strip()
        return sets.decode(self._value(tag))[0].strip("\0 ") == text.strip()

    def _value(self, tag: int) -> bytes:
        element = self._by_tag.get(tag)
        if element is None:
            return b""
        if element.vr == "SQ" or element.length > MAXIMUM_ORIGINAL_BYTES:
            message = f"{_name(tag)} is not the text that it should be; it cannot be changed."
            raise RefusedInstanceError(PROCESSING_FAILURE, message)
        return bytes(self._data[element.offset : element.end])

    def _terms(self, texts: Iterable[str]) -> bytes:
        """The value of Specific Character Set that the new text can be written in.

        A dataset that names none is ASCII and so UTF-8 too, unless its sender wrote Latin-1 without saying so.
        """
        named = self._value(SPECIFIC_CHARACTER_SET)
        if all(text.isascii() for text in texts) or named.strip(b"\0 ") not in (b"", b"ISO_IR 6"):
            return named
        written = (
            bytes(self._data[element.offset : element.end])
            for element in self._elements
            if element.vr in COERCED_VRS and element.length <= MAXIMUM_ORIGINAL_BYTES
        )
        return b"ISO_IR 192" if all(_is_utf_8(value) for value in written) else b"ISO_IR 100"

    def _set(self, tag: int, value: bytes) -> None:
        vr = public_vr(tag)
        if self._style.explicit and vr not in _LONG and len(value) > 0xFFFE:
            raise RefusedInstanceError(PROCESSING_FAILURE, f"The new value of {_name(tag)} is too long.")
        before = self._by_tag.get(tag)
        self._previous[tag] = (before.vr if before is not None else vr, self._value(tag))
        self._new[tag] = self._style.element(tag, vr, value)

    def record(self, coercion: Coercion, now: datetime) -> None:
        """Add an item to the Original Attributes Sequence; those that it has stay."""
        if PATIENT_ID in self._previous and self._value(ISSUER_OF_PATIENT_ID):
            self._previous.setdefault(ISSUER_OF_PATIENT_ID, ("LO", self._value(ISSUER_OF_PATIENT_ID)))
        sequence = self._by_tag.get(ORIGINAL_ATTRIBUTES)
        if sequence is None:
            item = self._item(coercion, now, self._style)
            self._new[ORIGINAL_ATTRIBUTES] = self._style.head(ORIGINAL_ATTRIBUTES, "SQ", len(item)) + item
            return
        undefined = sequence.length == UNDEFINED
        items = bytes(self._data[sequence.offset : sequence.end - (8 if undefined else 0)])
        # PS3.5 §6.2.2: what stands in UN is written in implicit VR, little endian.
        written = bytes(self._data[sequence.start + 4 : sequence.start + 6])
        vr = "UN" if self._style.explicit and written == b"UN" else "SQ"
        items += self._item(coercion, now, _Style(False, "<") if vr == "UN" else self._style)
        self._new[ORIGINAL_ATTRIBUTES] = self._style.head(ORIGINAL_ATTRIBUTES, vr, len(items)) + items

    def _item(self, coercion: Coercion, now: datetime, style: _Style) -> bytes:
        previous = b"".join(style.element(tag, vr, value) for tag, (vr, value) in sorted(self._previous.items()))
        modified = style.item(previous)
        content = {
            MODIFIED_ATTRIBUTES: style.head(MODIFIED_ATTRIBUTES, "SQ", len(modified)) + modified,
            MODIFICATION_DATE_TIME: style.element(MODIFICATION_DATE_TIME, "DT", _date_time(now)),
            MODIFYING_SYSTEM: style.element(MODIFYING_SYSTEM, "LO", self._sets.encode(coercion.system, "replace")),
            SOURCE_OF_PREVIOUS_VALUES: style.element(
                SOURCE_OF_PREVIOUS_VALUES, "LO", self._sets.encode(coercion.source, "replace")
            ),
            REASON: style.element(REASON, "CS", coercion.reason.encode()),
        }
        return style.item(b"".join(content[tag] for tag in sorted(content)))

    def pieces(self, start: int) -> tuple[bytes | slice, ...]:
        """The dataset: what stays, as ranges, and what is new, in the order of the tags.

        The lengths of groups that change are left out, as they may be (PS3.5 §7.2).
        """
        groups = {tag >> 16 for tag in self._new}
        pending = sorted(self._new)
        pieces: list[bytes | slice] = []
        kept = end = start
        for element in self._elements:
            gone = element.tag in self._new or element.tag == LENGTH_TO_END
            gone = gone or (element.tag & 0xFFFF == 0 and element.tag >> 16 in groups)
            new = b""
            while pending and pending[0] <= element.tag:
                new += self._new[pending.pop(0)]
            if gone or new:
                pieces += [slice(kept, element.start), new]
                kept = element.end if gone else element.start
            end = element.end
        pieces += [slice(kept, end), b"".join(self._new[tag] for tag in pending), slice(end, len(self._data))]
        return tuple(piece for piece in pieces if (piece if isinstance(piece, bytes) else piece.stop > piece.start))


def _encoded(tag: int, text: str, sets: CharacterSets) -> bytes:
    try:
        return sets.encode(text)
    except UnicodeEncodeError:
        message = f"The new value of {_name(tag)} cannot be written in the character set of the instance."
        raise RefusedInstanceError(PROCESSING_FAILURE, message) from None


def _is_utf_8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _date_time(now: datetime) -> bytes:
    return now.strftime("%Y%m%d%H%M%S.%f%z").encode()
