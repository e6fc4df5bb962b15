"""Read the Native DICOM Model (PS3.19 Annex A), which PS3.18 uses for XML."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from xml.etree import ElementTree


@dataclass(slots=True)
class NativeAttribute:
    vr: str
    keyword: str | None
    private_creator: str | None
    values: list[str | None] = field(default_factory=list)
    names: list[dict[str, str]] = field(default_factory=list)
    items: list[dict[str, NativeAttribute]] = field(default_factory=list)
    inline: bytes | None = None
    bulk_uri: str | None = None


def parse_native(data: bytes) -> dict[str, NativeAttribute]:
    """Read one document; ValueError where it is not of the model."""
    root = ElementTree.fromstring(data)  # noqa: S314 - expat bounds entity expansion; the server is chosen
    if _local(root) != "NativeDicomModel":
        raise ValueError(f"the root element is {_local(root)}, not NativeDicomModel")
    return _attributes(root)


def _local(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _attributes(parent: ElementTree.Element) -> dict[str, NativeAttribute]:
    found = {}
    for element in parent:
        if _local(element) != "DicomAttribute":
            raise ValueError(f"an element {_local(element)} where DicomAttribute is expected")
        attribute = NativeAttribute(element.get("vr", ""), element.get("keyword"), element.get("privateCreator"))
        for child in sorted(element, key=lambda each: int(each.get("number", "0"))):
            _add(attribute, child)
        found[element.get("tag", "")] = attribute
    return found


def _add(attribute: NativeAttribute, child: ElementTree.Element) -> None:
    name = _local(child)
    if name == "Value":
        attribute.values.append(child.text)
    elif name == "PersonName":
        attribute.names.append({_local(group): _person(group) for group in child})
    elif name == "Item":
        attribute.items.append(_attributes(child))
    elif name == "InlineBinary":
        attribute.inline = base64.b64decode(child.text or "")
    elif name == "BulkData":
        attribute.bulk_uri = child.get("uri") or child.get("URI")
    else:
        raise ValueError(f"an element {name} in DicomAttribute")


def _person(group: ElementTree.Element) -> str:
    parts = {_local(part): part.text or "" for part in group}
    order = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
    return "^".join(parts.get(name, "") for name in order).rstrip("^")
