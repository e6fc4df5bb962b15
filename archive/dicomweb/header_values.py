"""Read structured header values: lists, parameters, quoted strings (RFC 9110 §5.6). Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_TYPE_NAME = re.compile(r"([!#$%&'*+.^_`|~0-9a-z-]+)/([!#$%&'*+.^_`|~0-9a-z-]*)", re.ASCII)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)


def split_unquoted(text: str, separator: str) -> list[str]:
    """Split at a separator that stands outside quotes; members stripped, empty ones left out.

    Within quotes a backslash takes the next character as it is. An unclosed quote runs to the end.
    """
    if '"' not in text:
        return [member for part in text.split(separator) if (member := part.strip())]
    members: list[str] = []
    start = 0
    quoted = escaped = False
    for position, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            members.append(text[start:position].strip())
            start = position + 1
    members.append(text[start:].strip())
    return [member for member in members if member]


def unquote(text: str) -> str:
    """The value of a token or a quoted string. Raises ValueError on a quote that does not close."""
    if not text.startswith('"'):
        if '"' in text:
            raise ValueError("A quote stands inside a value.")
        return text
    if len(text) < 2 or not text.endswith('"'):
        raise ValueError("A quoted value does not end.")
    inner = text[1:-1]
    bare = _QUOTED_PAIR.sub("", inner)
    if '"' in bare or "\\" in bare:
        raise ValueError("A quoted value ends too soon.")
    return _QUOTED_PAIR.sub(r"\1", inner)


def quote(text: str) -> str:
    """The text as a quoted string. Only for text that holds no control characters."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type or range with its parameters; names in lower case, values unquoted and as sent.

    `subtype` may be empty (some clients send `image/` and mean `image/*`).
    """

    type: str
    subtype: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.type}/{self.subtype}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `type/subtype;name=value;…`. Raises ValueError; a parameter given twice is an error."""
        name, *rest = split_unquoted(text, ";") or [""]
        match = _TYPE_NAME.fullmatch(name.lower())
        if match is None:
            raise ValueError("This is not a media type.")
        parameters: dict[str, str] = {}
        for member in rest:
            key, equals, value = member.partition("=")
            key = key.strip().lower()
            if not equals or _TOKEN.fullmatch(key) is None or key in parameters:
                raise ValueError("This is not a media type parameter, or it is given twice.")
            parameters[key] = unquote(value.strip())
        return cls(match[1], match[2], parameters)


def parse_weight(text: str) -> float:
    """Read a qvalue, 0 to 1 with at most three decimals. Raises ValueError."""
    if re.fullmatch(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?", text, re.ASCII) is None:
        raise ValueError("A weight lies between 0 and 1 and has at most three decimals.")
    return float(text)
