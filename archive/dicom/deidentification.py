"""De-identify a stored instance by the Basic Application Level Confidentiality Profile (PS3.15 Annex E), in pieces.

What the table says is done, and what it leaves open is closed: private attributes and those that no dictionary knows
are removed, so are names and moments that the table does not have; UIDs that do not name something of the standard are
replaced; a text that repeats who the patient is, is emptied. Where the table gives a choice by the attribute's type
(X/Z, X/D …) the one that is right for every object is taken: a value stays empty or becomes a dummy; an optional
sequence goes. With the same key the same file gives the same bytes.

Pixel data is passed over, never read: whether something is written into the pixels is `burned_in`'s to say.
"""

import re
import struct
from collections.abc import Iterator

from archive.dicom.confidentiality import profile_actions
from archive.dicom.dictionary import public_vr
from archive.dicom.elements import (
    ITEM,
    ITEM_END,
    SEQUENCE_END,
    UNDEFINED,
    Event,
    dataset_elements,
    outermost,
)
from archive.dicom.explicit import (
    ITEM_HEAD,
    ITEM_TAIL,
    MAXIMUM_SHORT_BYTES,
    SEQUENCE_TAIL,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    ExplicitFile,
    Piece,
    PieceWriter,
    element_head,
    even,
    file_head,
    short_element,
)
from archive.dicom.part10 import (
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    JPIP_DEFLATED,
    FileMeta,
    Limits,
    read_file_meta,
    refuse,
)
from archive.dicom.pseudonyms import Pseudonyms
from archive.dicom.values import UNIT_BYTES
from archive.instances import Buffer, Span

METHOD = "DICOM PS3.15 Annex E Basic Profile"
KEPT_UIDS = frozenset(
    (0x00080016, 0x0008001A, 0x0008001B, 0x0008010C, 0x0008010D, 0x00080117, 0x00080118, 0x00081150, 0x0008115A)
)
"""UIDs of classes, coding schemes and context groups, whoever gave them."""
CHAIN = frozenset((SOP_INSTANCE_UID, 0x0020000D, 0x0020000E))
"""Instance, study, series."""
NATIVE = frozenset((IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE, "1.2.840.10008.1.2.1.99"))
PATIENT_ID = 0x00100020
PATIENT_NAME = 0x00100010
TEXT_VRS = frozenset(("AE", "LO", "LT", "SH", "ST", "UC", "UR", "UT"))
MOMENT_VRS = frozenset(("DA", "DT", "TM"))
TOLD_VRS = MOMENT_VRS | TEXT_VRS | {"PN", "UI"}
IDENTITY_TAGS = frozenset(
    (0x00080018, 0x00080050, 0x00080080, 0x00080090, PATIENT_NAME, PATIENT_ID, 0x00101000, 0x0020000D, 0x0020000E)
)
"""What must not be repeated in any text that is kept."""
SHORTEST_ECHO = 3
MAXIMUM_IDENTITY_BYTES = 512
MAXIMUM_ECHO_BYTES = 1 << 20
"""A longer text is not looked through but emptied."""
_NAME_PARTS = re.compile(rb"[\^=\\ ,;\0]+")
_WORD = rb"[0-9A-Za-z\x80-\xff]"
_NUMBERS = {"FL": "<f", "FD": "<d", "SL": "<i", "SS": "<h", "SV": "<q", "UL": "<I", "US": "<H", "UV": "<Q"}
_DUMMY_TEXT = {
    "AS": b"000Y",
    "DA": b"19000101",
    "DS": b"0",
    "DT": b"19000101000000",
    "IS": b"0",
    "TM": b"000000",
    "UR": b"about:blank",
}


def deidentify(data: Buffer, pseudonyms: Pseudonyms, limits: Limits = Limits()) -> ExplicitFile:  # noqa: B008 - frozen
    """Plan the de-identified file; native pixel data comes out in Explicit VR Little Endian, compressed as it is.

    Raises RefusedInstanceError when the file cannot be understood, or refers to pixels elsewhere.
    """
    meta = read_file_meta(data, limits)
    if meta.transfer_syntax_uid in JPIP_DEFLATED:
        raise refuse("Pixel data that lies elsewhere cannot be de-identified.")
    echoes = _echoes(data, meta, limits)
    dataset = dataset_elements(data, meta, limits)
    writer = _Writer(dataset.data, pseudonyms, echoes, big_endian=dataset.big_endian)
    writer.write(dataset.events)
    syntax = EXPLICIT_LE if meta.transfer_syntax_uid in NATIVE else meta.transfer_syntax_uid
    head = file_head(writer.uids.get(SOP_CLASS_UID, ""), writer.uids.get(SOP_INSTANCE_UID, ""), syntax)
    return ExplicitFile((head, *writer.finish()), dataset.data, not meta.deflated)


def _echoes(data: Buffer, meta: FileMeta, limits: Limits) -> re.Pattern[bytes] | None:
    """What finds the patient's identity in a text; None where the instance has none."""
    dataset = dataset_elements(data, meta, limits)
    words: set[bytes] = set()
    for tag, _, span in outermost(dataset.events):
        if tag not in IDENTITY_TAGS or span.length_bytes > MAXIMUM_IDENTITY_BYTES:
            continue
        value = bytes(dataset.data[span.offset : span.offset + span.length_bytes])
        words.add(value.strip(b"\0 "))
        if tag == PATIENT_NAME:
            words.update(_NAME_PARTS.split(value))
        elif tag not in (0x00080080, 0x00080090):
            words.update(part.strip(b"\0 ") for part in value.split(b"\\"))
    known = sorted((re.escape(word) for word in words if len(word) >= SHORTEST_ECHO), key=len, reverse=True)
    if not known:
        return None
    return re.compile(rb"(?<!%b)(?:%b)(?!%b)" % (_WORD, b"|".join(known), _WORD), re.IGNORECASE)


def action_on(tag: int, vr: str) -> str:
    """What is done with an attribute: X, Z, D, U, or K (kept; a sequence: each of its items is looked through)."""
    group = tag >> 16
    if group & 1 or group & 0xFF00 == 0x5000:  # private; curves
        return "X"
    if group & 0xFF00 == 0x6000 and tag & 0xFFFF in (0x3000, 0x4000):  # overlays, and comments on them
        return "X"
    action = profile_actions().get(tag)
    if action is None:
        return _action_beside_the_table(tag, vr)
    if vr == "SQ":
        return {"X/Z/U*": "K", "X/Z": "Z", "Z/D": "Z"}.get(action, "X" if action[0] == "X" else action)
    return action[-1] if action != "X/Z/U*" else "K"


def _action_beside_the_table(tag: int, vr: str) -> str:
    if vr == "PN":
        return "Z"
    if vr in MOMENT_VRS:
        return "X"
    if public_vr(tag) == "UN" and tag >> 16 & 0xFF00 != 0x6000:
        return "X"  # no dictionary knows it: nobody can say that it is harmless
    if vr == "UI" and tag not in KEPT_UIDS:
        return "U"
    return "K"


def dummy(vr: str) -> bytes:
    """A value that says nothing and is valid for the VR, of even length."""
    if vr in _NUMBERS:
        return struct.pack(_NUMBERS[vr], 0)
    if vr in UNIT_BYTES or vr in ("OB", "UN", "AT"):
        return bytes(8)
    return even(_DUMMY_TEXT.get(vr, b"REMOVED"), b" ")


def _code(value: str, scheme: str, meaning: str) -> bytes:
    """An item of a code sequence."""
    texts = ((0x00080100, "SH", value), (0x00080102, "SH", scheme), (0x00080104, "LO", meaning))
    return (
        ITEM_HEAD + b"".join(short_element(tag, vr, even(text.encode(), b" ")) for tag, vr, text in texts) + ITEM_TAIL
    )


def _sequence(tag: int, item: bytes) -> bytes:
    return element_head(tag, "SQ", UNDEFINED) + item + SEQUENCE_TAIL


STATEMENTS = {
    0x00120062: short_element(0x00120062, "CS", b"YES "),
    0x00120063: short_element(0x00120063, "LO", even(METHOD.encode(), b" ")),
    0x00120064: _sequence(0x00120064, _code("113100", "DCM", "Basic Application Confidentiality Profile")),
    0x00280303: short_element(0x00280303, "CS", even(b"REMOVED", b" ")),
}
"""What the file says of its own de-identification (PS3.15 E.1.1 and E.3.6), by tag."""


class _Writer(PieceWriter):
    """Turns the events of the stored dataset into pieces."""

    def __init__(
        self, data: Buffer, pseudonyms: Pseudonyms, echoes: re.Pattern[bytes] | None, *, big_endian: bool
    ) -> None:
        super().__init__(data, big_endian=big_endian)
        self._pseudonyms = pseudonyms
        self._echoes = echoes
        self._depth = 0
        self._pending = sorted(STATEMENTS)

    def write(self, events: Iterator[Event]) -> None:
        for event in events:
            tag, vr, offset, length = event
            if tag == ITEM:
                self._text += ITEM_HEAD
                self._depth += 1
            elif tag == ITEM_END:
                self._text += ITEM_TAIL
                self._depth -= 1
            elif tag == SEQUENCE_END:
                self._text += SEQUENCE_TAIL
            elif vr == "SQ":
                self._sequence(tag, events)
            elif length == UNDEFINED:
                self._encapsulated(tag, vr, events)
            elif tag & 0xFFFF:  # group lengths are left out
                self._element(tag, vr, Span(offset, length))

    def finish(self) -> list[Piece]:
        self._state_before(1 << 32)
        self._flush()
        return self._pieces

    def _state_before(self, tag: int) -> None:
        while not self._depth and self._pending and self._pending[0] < tag:
            self._text += STATEMENTS[self._pending.pop(0)]

    def _is_ours(self, tag: int) -> bool:
        return not self._depth and tag in STATEMENTS

    def _sequence(self, tag: int, events: Iterator[Event]) -> None:
        action = "X" if self._is_ours(tag) else action_on(tag, "SQ")
        if action == "K":
            self._state_before(tag)
            self._text += element_head(tag, "SQ", UNDEFINED)
            return
        _pass_over_sequence(events)
        if action == "X":
            return
        self._state_before(tag)
        self._text += _sequence(tag, _code("0", "99REMOVED", "REMOVED") if action == "D" else b"")

    def _encapsulated(self, tag: int, vr: str, events: Iterator[Event]) -> None:
        kept = action_on(tag, vr) == "K"
        if kept:
            self._state_before(tag)
            self._text += element_head(tag, vr, UNDEFINED)
        for fragment_tag, _, offset, length in events:
            if kept and fragment_tag == ITEM:
                self._text += struct.pack("<HHI", 0xFFFE, 0xE000, length)
                self._copy_value(Span(offset, length), "")
            if fragment_tag == SEQUENCE_END:
                break
        if kept:
            self._text += SEQUENCE_TAIL

    def _element(self, tag: int, vr: str, span: Span) -> None:
        known = public_vr(tag)
        if known in TOLD_VRS:
            vr = known  # whatever the file says: a name that is written as bytes is a name
        is_hidden = vr != "SQ" and known == "SQ"  # a sequence in the shape of UN was not looked through
        action = "X" if is_hidden or self._is_ours(tag) else action_on(tag, vr)
        if action == "X":
            return
        self._state_before(tag)
        if action == "Z":
            self._text += element_head(tag, vr, 0)
        elif action == "U" or vr == "UI":
            self._uids(tag, span, kept=action == "K")
        elif action == "D":
            self._dummy(tag, vr, span)
        elif vr in TEXT_VRS and self._echoes_identity(span):
            self._text += element_head(tag, vr, 0)
        else:
            self._copy(tag, vr, span)

    def _uids(self, tag: int, span: Span, *, kept: bool) -> None:
        values = self._read(span).decode("latin-1").strip("\0 ").split("\\")
        if not kept:
            rename = self._pseudonyms.other_uid if tag in CHAIN else self._pseudonyms.uid
            values = [rename(value.strip("\0 ")) if value.strip("\0 ") else "" for value in values]
        if not self._depth and tag in (SOP_CLASS_UID, SOP_INSTANCE_UID):
            self.uids[tag] = values[0]
        value = even("\\".join(values).encode("latin-1"), b"\0")
        if len(value) > MAXIMUM_SHORT_BYTES:
            raise refuse("A list of UIDs is too long.")
        self._text += short_element(tag, "UI", value)

    def _dummy(self, tag: int, vr: str, span: Span) -> None:
        value = dummy(vr)
        if tag == PATIENT_ID:
            value = self._pseudonyms.patient_id(self._read(span)) if span.length_bytes else b""
        self._text += element_head(tag, vr, len(value)) + value

    def _echoes_identity(self, span: Span) -> bool:
        if self._echoes is None:
            return False
        return span.length_bytes > MAXIMUM_ECHO_BYTES or self._echoes.search(self._read(span)) is not None


def _pass_over_sequence(events: Iterator[Event]) -> None:
    """Up to the end of the sequence whose event came last, with everything in it."""
    depth = 1
    for tag, vr, _, length in events:
        if tag == SEQUENCE_END:
            depth -= 1
        elif vr == "SQ" or (length == UNDEFINED and tag != ITEM):
            depth += 1
        if not depth:
            return
