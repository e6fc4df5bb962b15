"""Person names without case and diacritics, and the words they are made of, for matching (PS3.4 C.2.2.2.1.1).

What is stored and what is asked pass through the same functions, so that they meet.
"""

import re
import unicodedata

GROUP_SEPARATOR = "="
COMPONENT_SEPARATOR = "^"
SOUND_MARK = "~"
MAXIMUM_SOUND = 6
_KANA_VOICING = "\u3099\u309a"
"""Marks that NFKD splits off and that make another letter: there they are no diacritics."""
_UNDECOMPOSED = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"})
_WORD = re.compile(r"[^\s^=\\,.;*?'’`\-]+")
_LATIN_WORD = re.compile(r"[a-z]+", re.ASCII)
_RESPELLED = (
    ("tsch", "s"), ("sch", "s"), ("ph", "f"), ("th", "t"), ("ck", "k"), ("dt", "t"), ("tz", "s"), ("ch", "k"),
    ("sh", "s"), ("sz", "s"), ("cz", "s"), ("x", "ks"), ("qu", "kv"), ("ce", "se"), ("ci", "si"), ("cy", "si"),
)  # fmt: skip
_CLASS = {
    **dict.fromkeys("bp", "1"),
    **dict.fromkeys("fvw", "2"),
    **dict.fromkeys("cgkq", "3"),
    **dict.fromkeys("sz", "4"),
    **dict.fromkeys("dt", "5"),
    "l": "6",
    **dict.fromkeys("mn", "7"),
    "r": "8",
    "j": "9",
}


def fold(text: str) -> str:
    """Lower case, without diacritics; voicing marks of kana and syllables of Hangul are no diacritics and stay."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    kept = [mark for mark in decomposed if not unicodedata.combining(mark) or mark in _KANA_VOICING]
    return unicodedata.normalize("NFC", "".join(kept)).translate(_UNDECOMPOSED)


def fold_name(value: str) -> str:
    """A PN value as the index keeps it: each component group folded, between "=" signs.

    `Yamada^Tarou=山田^太郎` → `=yamada^tarou=山田^太郎=`; "" stays "". Several values follow one another.
    """
    groups = [_fold_group(group) for name in value.split("\\") for group in name.split(GROUP_SEPARATOR)]
    present = [group for group in groups if group]
    return GROUP_SEPARATOR + GROUP_SEPARATOR.join(present) + GROUP_SEPARATOR if present else ""


def _fold_group(group: str) -> str:
    components = (" ".join(fold(component).replace(GROUP_SEPARATOR, " ").split()) for component in group.split("^"))
    return COMPONENT_SEPARATOR.join(components).rstrip(COMPONENT_SEPARATOR)


def name_words(value: str) -> str:
    """The words of a PN value, folded, and after a "~" the sound of each, between blanks.

    `Meyer^Jörg` → ` meyer jorg ~78 ~j83 ` (the sounds are an inner matter); "" stays "".
    """
    words = words_of(value)
    if not words:
        return ""
    sounds = dict.fromkeys(SOUND_MARK + sound_of(word) for word in words)
    return f" {' '.join(words)} {' '.join(sounds)} "


def words_of(value: str) -> list[str]:
    """The folded words of a name in their order, each once."""
    return list(dict.fromkeys(_WORD.findall(fold(value))))


def sound_of(word: str) -> str:
    """A code that folded words of like sound share: a class for each consonant, vowels left out but at the start.

    Like Soundex, but the first letter is classed too (Christian, Kristian) and more digits are kept. A word that is
    not written in Latin letters is its own sound.
    """
    if _LATIN_WORD.fullmatch(word) is None:
        return word
    for spelling, sound in _RESPELLED:
        word = word.replace(spelling, sound)
    code = "a" if word[0] in "aeiouyh" else ""
    before = ""
    for letter in word:
        digit = _CLASS.get(letter, "")
        if digit != before or not digit:
            code += digit
        if letter != "h":
            before = digit
    return code[:MAXIMUM_SOUND]
