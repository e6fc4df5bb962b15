"""Which instances are still to be copied to HTJ2K. For the whole archive, not for requests, so it knows no scope."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa

from archive.database.copy_tables import uncopied_frames
from archive.database.index_tables import instances, studies
from archive.identifiers import Digest
from archive.index.inventory import is_named
from archive.index.reader import FACTS, JOINED, instance_of
from archive.instances import Instance

Query = TypeVar("Query", bound=sa.Select[Any])
PAGE = 200
_INSERT = sa.insert(uncopied_frames)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A blob that waits; `instance` None: none of that blob is stored any more."""

    digest: Digest
    instance: Instance | None


def note_uncopied(connection: sa.Connection, digests: Sequence[Digest]) -> None:
    """The frames of these blobs are to be copied."""
    if digests:
        connection.execute(_INSERT, [{"digest": digest} for digest in digests])


def find_uncopied(connection: sa.Connection) -> list[Waiting]:
    """The blobs that have waited longest, at most `PAGE`."""
    query = sa.select(uncopied_frames.c.digest).order_by(uncopied_frames.c.id).limit(PAGE)
    digests = list(dict.fromkeys(connection.execute(query).scalars()))
    if not digests:
        return []
    rows = connection.execute(sa.select(*FACTS).select_from(JOINED).where(instances.c.digest.in_(digests)))
    found = {instance.digest: instance for instance in map(instance_of, rows)}
    return [Waiting(Digest(digest), found.get(Digest(digest))) for digest in digests]


def settle_copies(connection: sa.Connection, digests: Iterable[Digest]) -> list[Digest]:
    """The copies of these blobs are made, as far as they can be. Gives those that nothing names any more.

    Purging an instance is a transaction too, and removes its copy in it: so either that comes before this, and the
    copy is among what is given, or it finds the copy.
    """
    settled = list(digests)
    for start in range(0, len(settled), PAGE):
        some = uncopied_frames.c.digest.in_(settled[start : start + PAGE])
        connection.execute(sa.delete(uncopied_frames).where(some))
    return [digest for digest in settled if not is_named(connection, digest)]


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the stored images; `last_id` is where the next page begins."""

    images: list[Instance]
    last_id: int


def count_images(connection: sa.Connection, study_uid: str | None) -> int:
    """How many instances with pixels are stored, in a study or in all."""
    return connection.execute(_of_study(sa.select(sa.func.count()).select_from(JOINED), study_uid)).scalar_one()


def find_images(connection: sa.Connection, study_uid: str | None, after_id: int) -> Page:
    """The instances with pixels that were stored after that one, at most `PAGE`."""
    query = _of_study(sa.select(*FACTS, instances.c.id).select_from(JOINED), study_uid)
    rows = connection.execute(query.where(instances.c.id > after_id).order_by(instances.c.id).limit(PAGE)).all()
    return Page([instance_of(row) for row in rows], rows[-1].id if rows else after_id)


def find_image_digests(connection: sa.Connection, study_uid: str | None, after_id: int, most: int) -> dict[int, Digest]:
    """The blobs of the instances with pixels that were stored after that one, by the instance's id, in its order."""
    query = _of_study(sa.select(instances.c.id, instances.c.digest).select_from(JOINED), study_uid)
    rows = connection.execute(query.where(instances.c.id > after_id).order_by(instances.c.id).limit(most))
    return {row.id: Digest(row.digest) for row in rows}


def find_by_digest(connection: sa.Connection, digest: str) -> Instance | None:
    """An instance whose file this blob is; None where none is any more."""
    query = sa.select(*FACTS).select_from(JOINED).where(instances.c.digest == digest).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else instance_of(row)


def _of_study(query: Query, study_uid: str | None) -> Query:
    query = query.where(instances.c.pixels.is_not(None))
    return query if study_uid is None else query.where(studies.c.study_uid == study_uid)
