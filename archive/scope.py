"""What a request may see. Frozen; the first argument of every read of the index."""

from dataclasses import dataclass
from typing import Self

from archive.identifiers import StudyUID


@dataclass(frozen=True, slots=True)
class Scope:
    """A set of studies. `study_uids` None means all of them, for staff and machines only.

    `stored_until_ms` hides what was stored later (a frozen share), in milliseconds since 1970, UTC.
    `with_reports` False hides structured reports and encapsulated documents.
    """

    study_uids: frozenset[StudyUID] | None
    stored_until_ms: int | None = None
    with_reports: bool = True

    @classmethod
    def everything(cls) -> Self:
        return cls(None)

    @classmethod
    def nothing(cls) -> Self:
        return cls(frozenset())

    @classmethod
    def studies(cls, *study_uids: StudyUID) -> Self:
        return cls(frozenset(study_uids))

    def may_see_study(self, study_uid: str) -> bool:
        return self.study_uids is None or study_uid in self.study_uids
