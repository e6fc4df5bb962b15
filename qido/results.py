"""Matches → DICOM JSON objects, as a client that came by a root may have them (PS3.18 §10.6.3.3)."""

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from archive.attributes import Level
from archive.dicom.names import is_private, is_private_creator
from archive.dicomweb.targets import PublicRoot
from archive.index.query import InstanceMatch, Key, Match, SeriesMatch, StudyMatch
from archive.index.texts import INSTANCE_COLUMNS
from qido.kept import KeptSearches
from qido.parameters import TIMEZONE, UNMATCHED, Fields, Resource

Attributes = dict[str, dict[str, Any]]
Tree = dict[str, "Tree | None"]
"""Which attributes are wanted: None means the whole of it, a tree the members of a sequence's items."""

RETURNED: Mapping[Level, tuple[str, ...]] = {
    Level.STUDY: (
        "00080020", "00080030", "00080050", "00080056", "00080061", "00080090", "00080201", "00081190", "00100010",
        "00100020", "00100030", "00100040", "0020000D", "00200010", "00201206", "00201208",
    ),
    Level.SERIES: (
        "00080056", "00080060", "00080201", "0008103E", "00081190", "0020000E", "00200011", "00201209", "00400244",
        "00400245", "00400275",
    ),
    Level.INSTANCE: (
        "00080016", "00080018", "00080056", "00080201", "00081190", "00083002", "00200013", "00280008", "00280010",
        "00280011", "00280100",
    ),
}  # fmt: skip
"""Per level, what is returned unasked (PS3.18 Tables 10.6.3-3 to -5)."""
REQUIRED = {
    "00080020": "DA", "00080030": "TM", "00080050": "SH", "00080090": "PN", "00100010": "PN", "00100020": "LO",
    "00100030": "DA", "00100040": "CS", "00200010": "SH", "00080060": "CS", "00200011": "IS", "00200013": "IS",
}  # fmt: skip
"""Returned even without a value. ModalitiesInStudy is not: viewers stumble over it when it is empty."""
COMPUTED = UNMATCHED | {"00080061", "00080062"}
"""Made here; what instances say of these is never answered (PS3.4 C.3.4)."""
INSTANCE_VRS = {
    "00200013": "IS", "00280010": "US", "00280011": "US", "00280100": "US", "00280008": "IS", "00080023": "DA",
    "00080033": "TM", "00080008": "CS",
}  # fmt: skip
URI_MEMBER = b'"BulkDataURI":"'
IN_COLUMNS = frozenset(INSTANCE_COLUMNS.values()) | {"00080016", "00080018", "00083002"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is returned of one level. `stored`: of it, what is taken as it was stored; `required`: VRs by tag."""

    tree: Tree
    stored: Tree
    private: tuple[str, ...]
    required: Mapping[str, str]

    @classmethod
    def of(cls, tree: Tree) -> "Wanted":
        private = tuple(tag for tag in tree if is_private(tag) and not is_private_creator(tag))
        stored = {tag: below for tag, below in tree.items() if tag not in COMPUTED and tag not in private}
        return cls(tree, stored, private, {tag: vr for tag, vr in REQUIRED.items() if tag in tree})


@dataclass(frozen=True, slots=True, eq=False)
class Presentation:
    """How the matches of searches of one form are put; `wanted` is what is returned at which level.

    One that is used again tells the texts of its matches from those of others.
    """

    resource: Resource
    root: PublicRoot
    fields: Fields
    wanted: Mapping[Level, Wanted]

    @classmethod
    def of(cls, resource: Resource, root: PublicRoot, fields: Fields) -> "Presentation":
        levels = _answered_levels(resource)
        trees: dict[Level, Tree] = {level: {} for level in Level}
        for level in levels:
            trees[level].update(dict.fromkeys(RETURNED[level]))
        trees[Level.STUDY][TIMEZONE] = None  # kept with the study, answered at every level
        for key in fields.keys:
            _plant(trees[key.level], key)
        return cls(resource, root, fields, {level: Wanted.of(tree) for level, tree in trees.items()})

    @property
    def needs_documents(self) -> bool:
        """Whether what is wanted of instances is more than the index keeps apart."""
        if self.resource.level is not Level.INSTANCE:
            return False
        wanted = self.wanted[Level.INSTANCE].tree.keys()
        return self.fields.everything or not wanted <= IN_COLUMNS | COMPUTED | {TIMEZONE}

    def objects(self, matches: Iterable[Match]) -> list[Attributes]:
        """One DICOM JSON object for each match, tags ascending."""
        above: dict[Match, Attributes] = {}  # what several matches have in common is made once
        return [dict(sorted(self._object(match, above).items())) for match in matches]

    def text(self, matches: Iterable[Match], kept: KeptSearches) -> bytes:
        """The JSON array of the objects."""
        above: dict[Match, Attributes] = {}

        def made(match: Match) -> bytes:
            return orjson.dumps(dict(sorted(self._object(match, above).items())))

        if self.needs_documents:  # each is large, and read from the index in any case
            return b"[" + b",".join(map(made, matches)) + b"]"
        return b"[" + b",".join([kept.text((self, *_all_of(one)), lambda one=one: made(one)) for one in matches]) + b"]"  # type: ignore[misc]  # mypy#12557

    def _object(self, match: Match, above: dict[Match, Attributes]) -> Attributes:
        if isinstance(match, StudyMatch):
            return self._study(match)
        if isinstance(match, SeriesMatch):
            if match.study not in above:
                above[match.study] = self._study(match.study)
            return above[match.study] | self._series(match)
        if match.series not in above:
            above[match.series] = self._object(match.series, above)
        return above[match.series] | self._instance(match)

    def _study(self, match: StudyMatch) -> Attributes:
        wanted = self.wanted[Level.STUDY].tree
        own = self.resource.level is Level.STUDY
        found = self._selected(orjson.loads(match.attributes), Level.STUDY)
        found["0020000D"] = {"vr": "UI", "Value": [match.study_uid]}
        made: dict[str, tuple[str, list[Any]]] = {
            "00080061": ("CS", list(match.modalities)),
            "00080062": ("UI", list(match.sop_classes)),
            "00201206": ("IS", [match.series_count]),
            "00201208": ("IS", [match.instance_count]),
        }
        for tag, (vr, values) in made.items():
            if values and (tag in wanted or (own and self.fields.everything)):
                found[tag] = {"vr": vr, "Value": values}
        return found | self._where(f"/studies/{match.study_uid}")

    def _series(self, match: SeriesMatch) -> Attributes:
        wanted = self.wanted[Level.SERIES].tree
        own = self.resource.level is Level.SERIES
        found: Attributes = {"0020000D": {"vr": "UI", "Value": [match.study.study_uid]}}
        if wanted or own:
            found |= self._selected(orjson.loads(match.attributes), Level.SERIES)
            if "00201209" in wanted or (own and self.fields.everything):
                found["00201209"] = {"vr": "IS", "Value": [match.instance_count]}
        found["0020000E"] = {"vr": "UI", "Value": [match.series_uid]}
        return found | self._where(f"/studies/{match.study.study_uid}/series/{match.series_uid}")

    def _instance(self, match: InstanceMatch) -> Attributes:
        wanted = self.wanted[Level.INSTANCE]
        if match.document is not None:
            document = match.document.replace(URI_MEMBER, URI_MEMBER + str(self.root).encode())
            found = self._selected(orjson.loads(document), Level.INSTANCE)
        else:
            found = {tag: _typed(tag, match.values[tag]) for tag in wanted.tree if match.values.get(tag)}
            found |= {tag: {"vr": vr} for tag, vr in wanted.required.items() if tag not in found}
        study_uid, series_uid = match.series.study.study_uid, match.series.series_uid
        found["00080016"] = {"vr": "UI", "Value": [match.sop_class_uid]}
        found["00080018"] = {"vr": "UI", "Value": [match.instance_uid]}
        found["00083002"] = {"vr": "UI", "Value": [match.transfer_syntax_uid]}
        return found | self._where(f"/studies/{study_uid}/series/{series_uid}/instances/{match.instance_uid}")

    def _where(self, path: str) -> Attributes:
        return {
            "00080056": {"vr": "CS", "Value": ["ONLINE"]},
            "00081190": {"vr": "UR", "Value": [self.root.uri(path)]},
        }

    def _selected(self, stored: Attributes, level: Level) -> Attributes:
        wanted = self.wanted[level]
        if self.fields.everything and level is self.resource.level:
            found = {tag: entry for tag, entry in stored.items() if tag not in COMPUTED}
        else:
            found = _pruned(stored, wanted.stored)
            for tag in wanted.private:
                found |= _private(stored, tag, dict(self.fields.creators))
        for tag, vr in wanted.required.items():
            if tag not in found:
                found[tag] = {"vr": vr}
        return found


def _all_of(match: Match) -> tuple[Hashable, ...]:
    """What a match holds, by which its text is found again."""
    if isinstance(match, InstanceMatch):
        own = (match.instance_uid, match.sop_class_uid, match.transfer_syntax_uid)
        return (match.series, *own, *match.values.values())
    return (match,)


def _answered_levels(resource: Resource) -> set[Level]:
    """All Series answers the study's attributes too, All Instances those of study and series (PS3.18 §10.6.3.3)."""
    levels = {resource.level}
    if resource.study_uid is None:
        levels |= {level for level in Level if level < resource.level}
    elif resource.level is Level.INSTANCE and resource.series_uid is None:
        levels.add(Level.SERIES)
    return levels


def _plant(tree: Tree, key: Key) -> None:
    for tag in key.path[:-1]:
        below = tree.setdefault(tag, {})
        if below is None:
            return  # the whole sequence is wanted already
        tree = below
    tree[key.tag] = None


def _pruned(stored: Attributes, wanted: Tree) -> Attributes:
    found: Attributes = {}
    for tag, tree in wanted.items():
        entry = stored.get(tag)
        if entry is None:
            continue
        if tree is not None and entry.get("vr") == "SQ":
            entry = entry | {"Value": [_pruned(item or {}, tree) for item in entry.get("Value", ())]}
        found[tag] = entry
    return found


def _private(stored: Attributes, tag: str, creators: Mapping[str, str]) -> Attributes:
    """A private attribute with its creator. Whose it is decides, and not which block happens to be free (§7.8.1)."""
    group, block, element = tag[:4], tag[4:6], tag[6:]
    asked = creators.get(f"{group}00{block}")
    if asked is not None:
        blocks = [
            own[6:]
            for own, entry in stored.items()
            if own.startswith(f"{group}00") and is_private_creator(own) and asked in entry.get("Value", ())
        ]
        if not blocks:
            return {}
        block = blocks[0]
    wanted = (f"{group}00{block}", f"{group}{block}{element}")
    if wanted[1] not in stored:
        return {}
    return {own: stored[own] for own in wanted if own in stored}


def _typed(tag: str, text: str) -> dict[str, Any]:
    """A value that the index keeps as text, as DICOM JSON types it."""
    vr = INSTANCE_VRS[tag]
    values: list[Any] = text.split("\\")
    if vr in ("IS", "US"):
        values = [int(value) if re.fullmatch(r"[+-]?[0-9]+", value) else value for value in values]
    return {"vr": vr, "Value": values}
