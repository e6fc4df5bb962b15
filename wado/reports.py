"""A structured report (PS3.3 C.17.3) as HTML for people: everything escaped, nothing that runs. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

Json = Mapping[str, Any]

CONTENT, RELATIONSHIP, VALUE_TYPE, CONCEPT = "0040A730", "0040A010", "0040A040", "0040A043"
TEXT, CODE, NUMBER, MEASURED, UNITS = "0040A160", "0040A168", "0040A30A", "0040A300", "004008EA"
DATE, TIME, DATE_TIME, NAME, UID = "0040A121", "0040A122", "0040A120", "0040A123", "0040A124"
MEANING, CODE_VALUE, REFERENCED, REFERENCED_ITEM = "00080104", "00080100", "00081199", "0040DB73"
MAXIMUM_ITEMS = 20_000
MAXIMUM_DEPTH = 64
MAXIMUM_HEADING = 6
HEAD = (
    ("Patient", "00100010"),
    ("Patient ID", "00100020"),
    ("Born", "00100030"),
    ("Sex", "00100040"),
    ("Study", "00081030"),
    ("Study date", "00080020"),
    ("Accession number", "00080050"),
    ("Institution", "00080080"),
    ("Referring physician", "00080090"),
    ("Completion", "0040A491"),
    ("Verification", "0040A493"),
)
REFERENCES = {
    "IMAGE": "Image",
    "COMPOSITE": "Object",
    "WAVEFORM": "Waveform",
    "SCOORD": "Region",
    "TCOORD": "Time span",
}
STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}"
    "html{color:#111;background:#fff}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem}dt{color:#555}dd{margin:0}"
    "section section{margin-left:1rem}p{margin:.3rem 0;white-space:pre-wrap}b{font-weight:600}"
    "h1{font-size:1.5rem}h2{font-size:1.2rem}h3,h4,h5,h6{font-size:1rem}"
)


def report_html(attributes: Json) -> str:
    """The whole page, from the report's DICOM JSON."""
    title = _meaning(attributes) or "Report"
    rows = [(label, _text(attributes, tag)) for label, tag in HEAD]
    head = "".join(f"<dt>{escape(label)}</dt><dd>{escape(text)}</dd>" for label, text in rows if text)
    body = "".join(_Tree().items(attributes, 2))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1><dl>{head}</dl>{body}</body></html>\n"
    )


@dataclass(slots=True)
class _Tree:
    """Walks the content items; `count` bounds a report that was made to be endless."""

    count: int = 0

    def items(self, parent: Json, level: int) -> Iterator[str]:
        for item in _items(parent, CONTENT):
            self.count += 1
            if self.count > MAXIMUM_ITEMS or level > MAXIMUM_DEPTH:
                yield "<p>The report goes on; the rest is in the DICOM object.</p>"
                return
            yield from self._item(item, level)

    def _item(self, item: Json, level: int) -> Iterator[str]:
        concept, value_type = _meaning(item), _text(item, VALUE_TYPE)
        if value_type == "CONTAINER":
            heading = f"h{min(level, MAXIMUM_HEADING)}"
            yield "<section>"
            if concept:
                yield f"<{heading}>{escape(concept)}</{heading}>"
            yield from self.items(item, level + 1)
            yield "</section>"
            return
        label = f"<b>{escape(concept)}:</b> " if concept else ""
        yield f"<p>{label}{escape(item_text(item, value_type))}</p>"
        if CONTENT in item:
            yield "<section>"
            yield from self.items(item, level + 1)
            yield "</section>"


def item_text(item: Json, value_type: str) -> str:
    """What a content item says, in words."""
    if value_type == "NUM":
        return _number_text(item)
    if value_type == "CODE":
        return _meaning(item, CODE)
    if value_type in REFERENCES:
        uids = [_text(one, "00081155") for one in _items(item, REFERENCED)]
        return " ".join([REFERENCES[value_type], *uids])
    if REFERENCED_ITEM in item:
        return f"see item {'.'.join(_texts(item, REFERENCED_ITEM))}"
    if "BulkDataURI" in item.get(TEXT, {}):
        return "(This text is very long and is found in the DICOM object.)"
    tags = {"DATE": DATE, "TIME": TIME, "DATETIME": DATE_TIME, "PNAME": NAME, "UIDREF": UID}
    return _text(item, tags.get(value_type, TEXT))


def _number_text(item: Json) -> str:
    measured = next(_items(item, MEASURED), None)
    if measured is None:
        return _meaning(item, "0040A301") or "no value"
    unit = next(_items(measured, UNITS), {})
    symbol = _text(unit, CODE_VALUE)
    return f"{_text(measured, NUMBER)} {'' if symbol in ('1', '{}') else symbol}".strip()


def _items(parent: Json, tag: str) -> Iterator[Json]:
    for item in parent.get(tag, {}).get("Value", ()):
        if isinstance(item, dict):
            yield item


def _meaning(item: Json, tag: str = CONCEPT) -> str:
    code: Json = next(_items(item, tag), {})
    return _text(code, MEANING) or _text(code, CODE_VALUE)


def _text(item: Json, tag: str) -> str:
    return ", ".join(filter(None, _texts(item, tag)))


def _texts(item: Json, tag: str) -> list[str]:
    entry = item.get(tag, {})
    return [_one_text(value, str(entry.get("vr", ""))) for value in entry.get("Value", ())]


def _one_text(value: Any, vr: str) -> str:
    if isinstance(value, dict):
        groups = (value.get(group, "") for group in ("Alphabetic", "Ideographic", "Phonetic"))
        return " / ".join(filter(None, (str(group).replace("^", " ").strip() for group in groups)))
    text = "" if value is None else str(value)
    if vr == "DA" and len(text) == 8:
        return f"{text[:4]}-{text[4:6]}-{text[6:]}"
    return text
