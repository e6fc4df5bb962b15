"""A search as a value: which level, under which parents, which attributes match how (PS3.4 C.2.2.2, PS3.18 §8.3.4)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from archive.attributes import Level, level_of
from archive.identifiers import SeriesUID, StudyUID

MAXIMUM_PAGE = 5_000
"""Most results of one search; also what is given when no limit is asked for."""

MAXIMUM_DOCUMENT_BYTES = 64 << 20
"""A page of whole instances ends with the one that makes it larger than this."""

UID_PATHS = (("0020000D",), ("0020000E",))
FEW = 10
MODALITIES_IN_STUDY = "00080061"
SOP_CLASSES_IN_STUDY = "00080062"
_LEVELS_OF_COMPUTED: Mapping[str, Level] = {
    MODALITIES_IN_STUDY: Level.STUDY,
    SOP_CLASSES_IN_STUDY: Level.STUDY,
    "00201206": Level.STUDY,
    "00201208": Level.STUDY,
    "00201209": Level.SERIES,
}

MULTIPLE = frozenset(
    {
        MODALITIES_IN_STUDY, SOP_CLASSES_IN_STUDY, "00080008", "0008009C", "00081048", "00081050", "00081060",
        "00081070", "00081080", "00101001", "00102000", "00102110", "00181020",
    }
)  # fmt: skip
"""Those of the matching keys that may have several values (PS3.6); any other key is matched as one text."""

NUMERIC = frozenset({"IS", "DS", "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD"})
"""Representations that are compared as numbers."""


class Matching(Enum):
    """How values are held against an attribute. Of an attribute's several values one must match."""

    SINGLE = auto()
    """`values[0]` is the value."""
    ANY = auto()
    """One of `values` is the value: lists of UIDs."""
    EACH = auto()
    """Each of `values` is among the attribute's values (PS3.4 C.2.2.2.8)."""
    WILDCARD = auto()
    """`values[0]` has `*` and `?`."""
    RANGE = auto()
    """From `values[0]` to `values[1]`, both included; "" is an open end."""
    FUZZY = auto()
    """`values[0]` is a name as people remember it: any order, any case, like sound."""
    EMPTY = auto()
    """The attribute has no value, or is not there (PS3.4 C.2.2.2.7)."""


@dataclass(frozen=True, slots=True)
class Key:
    """An attribute to match or to return: its tag and those of the sequences around it, outermost first."""

    path: tuple[str, ...]
    vr: str

    @property
    def tag(self) -> str:
        return self.path[-1]

    @property
    def dotted(self) -> str:
        return ".".join(self.path)

    @property
    def level(self) -> Level:
        return _LEVELS_OF_COMPUTED.get(self.path[0]) or level_of(self.path[0])


@dataclass(frozen=True, slots=True)
class Condition:
    """One attribute that must match. Values are parsed: dates are dates, UIDs are UIDs."""

    key: Key
    matching: Matching
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Moments:
    """A date and a time that are one moment, which lies in a range (PS3.4 C.2.2.2.5.4).

    `first` and `last` are (date, time), None at an open end. `offset_minutes`: east of UTC, where the request says in
    which time zone it speaks; stored values whose own zone is not known are taken to be in that one.
    """

    date: Key
    time: Key
    first: tuple[str, str] | None
    last: tuple[str, str] | None
    offset_minutes: int | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for; everything in it must hold.

    `with_documents`: instances come with their whole DICOM JSON. `with_sop_classes`: studies with their SOP classes.
    """

    level: Level
    study_uid: StudyUID | None = None
    series_uid: SeriesUID | None = None
    conditions: tuple[Condition, ...] = ()
    moments: tuple[Moments, ...] = ()
    limit: int = MAXIMUM_PAGE
    offset: int = 0
    with_documents: bool = False
    with_sop_classes: bool = False

    @property
    def is_by_uid(self) -> bool:
        """Whether it names studies and asks no more: a look-up by key of a few rows, that may run in the event loop."""
        if self.level is Level.INSTANCE or self.moments:
            return False
        by_uid = [one for one in self.conditions if one.key.path in UID_PATHS and len(one.values) <= FEW]
        names_study = self.study_uid is not None or any(one.key.path == UID_PATHS[0] for one in by_uid)
        return names_study and len(by_uid) == len(self.conditions)

    def __post_init__(self) -> None:
        if not 0 <= self.limit <= MAXIMUM_PAGE or not 0 <= self.offset < 1 << 62:
            raise ValueError("The limit or the offset is out of bounds.")


@dataclass(frozen=True, slots=True)
class StudyMatch:
    """A study as a scope sees it. `attributes`: DICOM JSON of what the study has of its own level."""

    study_uid: str
    attributes: bytes
    modalities: tuple[str, ...]
    series_count: int
    instance_count: int
    sop_classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SeriesMatch:
    study: StudyMatch
    series_uid: str
    attributes: bytes
    instance_count: int


@dataclass(frozen=True, slots=True)
class InstanceMatch:
    """`values`: by tag, the text of those attributes that the index keeps apart; "" where there is none."""

    series: SeriesMatch
    instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    values: Mapping[str, str] = field(default_factory=dict)
    document: bytes | None = None


Match = StudyMatch | SeriesMatch | InstanceMatch


@dataclass(frozen=True, slots=True)
class SearchResult:
    """One page of matches, and how many more there are behind it."""

    matches: tuple[Match, ...]
    remaining: int
