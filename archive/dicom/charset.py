"""Text in the character sets of (0008,0005), code extensions included (PS3.3 C.12.1.1.2, PS3.5 §6.1)."""

import re
from functools import lru_cache

from pydicom.charset import CODES_TO_ENCODINGS, python_encoding

ESCAPE = b"\x1b"
_DEFAULT = "iso8859"
_FRAGMENT = re.compile(b"[^\x1b]+|\x1b[^\x1b]*")
_NOT_IN_TERM = re.compile("[^0-9A-Z]")
_RESETS = re.compile(b"[\\\\^=\r\n\f\t]")


def _spelled(term: str) -> str:
    """A defined term without what senders get wrong in it: `ISO-IR 100`, `ISO_2022_IR_87`."""
    return _NOT_IN_TERM.sub("", term.upper())


_CODECS = {_spelled(term): codec for term, codec in python_encoding.items()} | {"UTF8": "utf-8", "": _DEFAULT}
# Codecs of Python that read the escape sequences of two-byte sets themselves.
_WITH_ESCAPES = frozenset(("iso2022_jp", "iso2022_jp_2"))


class CharacterSets:
    """Decodes the text of one dataset. What is not valid in its set is replaced, and `odd` tells so.

    Bytes above 127 where no set or only the default repertoire is named are against the standard, and common: they
    are read as UTF-8 where they are that, else as Latin-1.
    """

    __slots__ = ("_codec", "_extended", "unknown")

    def __init__(self, terms: tuple[str, ...]) -> None:
        codecs = [_CODECS.get(_spelled(term)) for term in terms] or [_DEFAULT]
        self.unknown = None in codecs
        self._codec = codecs[0] or _DEFAULT
        self._extended = len(codecs) > 1 or _spelled(terms[0] if terms else "").startswith("ISO2022")

    def decode(self, value: bytes) -> tuple[str, bool]:
        """The text, and whether all of it could be read."""
        if value.isascii() and ESCAPE not in value:
            return value.decode("ascii"), True
        if self._extended and ESCAPE in value:
            parts = [self._fragment(part) for part in _FRAGMENT.findall(value)]
            return "".join(text for text, _ in parts), all(valid for _, valid in parts)
        return self._plain(value)

    def encode(self, text: str, errors: str = "strict") -> bytes:
        """The text in the first of the sets. Raises UnicodeEncodeError where that does not hold it."""
        return text.encode("ascii" if self._codec == _DEFAULT else self._codec, errors)

    def _plain(self, value: bytes) -> tuple[str, bool]:
        if self._codec == _DEFAULT:
            text, valid = _decoded(value, "utf-8")
            return (text if valid else value.decode("latin-1")), False
        return _decoded(value, "shift_jis" if self._codec in _WITH_ESCAPES else self._codec)

    def _fragment(self, part: bytes) -> tuple[str, bool]:
        if not part.startswith(ESCAPE):
            return self.decode(part)
        length = 4 if part[1:3] in (b"$(", b"$)") else 3
        codec = CODES_TO_ENCODINGS.get(part[:length])
        if codec is None:
            text, _ = self.decode(part[1:])
            return text, False
        if codec in _WITH_ESCAPES:
            return _decoded(part, codec)
        part = part[length:]
        # A delimiter brings the first set back (PS3.5 §6.1.2.5.3). Where that is plain ASCII, senders that forget
        # to name their set again after it are read as they mean it.
        delimiter = None if self._codec == _DEFAULT else _RESETS.search(part)
        if delimiter is None:
            return _decoded(part, codec)
        head, valid = _decoded(part[: delimiter.start()], codec)
        tail, tail_valid = self.decode(part[delimiter.start() :])
        return head + tail, valid and tail_valid


def _decoded(value: bytes, codec: str) -> tuple[str, bool]:
    try:
        return value.decode(codec), True
    except UnicodeDecodeError:
        return value.decode(codec, "replace"), False


@lru_cache(maxsize=256)
def character_sets(value: bytes) -> CharacterSets:
    """The sets that a value of (0008,0005) names."""
    terms = value.decode("latin-1").split("\\")
    return CharacterSets(tuple(term.strip("\0 ") for term in terms))
