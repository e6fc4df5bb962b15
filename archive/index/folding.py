"""Person names without case and diacritics, for matching (PS3.4 C.2.2.2.1, PS3.5 §6.2.1)."""

import unicodedata

GROUP_SEPARATOR = "="


def fold(text: str) -> str:
    """Lower case, without diacritics. Kana keep their voicing marks and Hangul its syllables: they are letters."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    kept = [mark for mark in decomposed if not unicodedata.combining(mark) or mark in "\u3099\u309a"]
    return unicodedata.normalize("NFC", "".join(kept))


def fold_name(value: str) -> str:
    """A PN value as the index keeps it: each component group folded, between "=" signs.

    `Yamada^Tarou=山田^太郎` → `=yamada^tarou=山田^太郎=`; "" stays "". Several values follow one another.
    """
    groups = [
        " ".join(fold(group).split()).rstrip("^ ")
        for name in value.split("\\")
        for group in name.split(GROUP_SEPARATOR)
    ]
    present = [group for group in groups if group]
    return GROUP_SEPARATOR + GROUP_SEPARATOR.join(present) + GROUP_SEPARATOR if present else ""
