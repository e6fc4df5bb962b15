"""Add instances to the index: one batch, one transaction, few statements.

Nothing that is indexed is ever overwritten: the first bytes under a SOP Instance UID stay. Attributes of the study and
the series are those of the instance that came first, completed by what later instances add.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
import sqlalchemy as sa

from archive.attributes import SEQUENCE_PATHS, SERIES_ATTRIBUTES, STUDY_ATTRIBUTES, Level
from archive.database.index_tables import (
    deleted_instances,
    instance_metadata,
    instances,
    sequence_values,
    series,
    studies,
)
from archive.database.statements import insert_row, rows_among, run_each
from archive.errors import RefusedInstanceError
from archive.identifiers import Digest, SeriesUID, StudyUID
from archive.index.copies import find_copies
from archive.index.counters import Growth, count_further, modalities_in
from archive.index.texts import (
    INSTANCE_COLUMNS,
    MODALITY,
    SERIES_COLUMNS,
    STUDY_COLUMNS,
    JsonAttributes,
    columns_of,
    is_report,
    text_of,
)
from archive.instances import ParsedInstance, StoredInstance

DUPLICATE_SOP_INSTANCE = 0x0111
FROM_HERE = "This is a copy without a name of a study that is stored here; the archive does not take it back."
COERCED = 0xB000
NOT_AUTHORIZED = 0x0124
ANOTHERS = "This study did not come by your link; ask the desk to import this disc."
Outcome = StoredInstance | RefusedInstanceError


_UIDS: sa.BindParameter[Any] = sa.bindparam("uids", expanding=True)
_FIND_DELETED = sa.select(
    deleted_instances.c.instance_uid,
    deleted_instances.c.digest,
    deleted_instances.c.original_digest,
    deleted_instances.c.rejected,
).where(deleted_instances.c.instance_uid.in_(_UIDS))
_FIND_KNOWN = sa.select(instances.c.instance_uid, instances.c.digest, instances.c.original_digest).where(
    instances.c.instance_uid.in_(_UIDS)
)
_FORGET_DELETED = sa.delete(deleted_instances).where(deleted_instances.c.instance_uid.in_(_UIDS))
_FIND_STUDIES = sa.select(studies.c.study_uid, studies.c.id, studies.c.attributes, studies.c.ModalitiesInStudy).where(
    studies.c.study_uid.in_(_UIDS)
)
_FIND_SERIES = sa.select(series.c.study_id, series.c.series_uid, series.c.id, series.c.attributes).where(
    series.c.series_uid.in_(_UIDS)
)
_FIND_IDS = sa.select(instances.c.instance_uid, instances.c.id).where(instances.c.instance_uid.in_(_UIDS))
_INSERT_STUDY, _INSERT_SERIES, _INSERT_INSTANCE = sa.insert(studies), sa.insert(series), sa.insert(instances)
_INSERT_METADATA, _INSERT_SEQUENCE_VALUE = sa.insert(instance_metadata), sa.insert(sequence_values)
"""Built once: SQLAlchemy takes longer to build and to name a statement anew than SQLite to run it."""


@dataclass(frozen=True, slots=True)
class NewInstance:
    """An instance whose blob is kept and synced, to be indexed.

    `original_digest` is that of the bytes as they were sent, where attributes of them were coerced.
    """

    parsed: ParsedInstance
    digest: Digest
    length_bytes: int
    stored_by: str
    is_copy: bool = False
    """A de-identified copy that this archive made for a share; nobody else may put one into such a study."""
    original_digest: Digest | None = None
    checksum: bytes | None = None
    exclusive: bool = False
    """Only for a study that is not here, and was not, or all of which came from `stored_by`: a patient's import."""

    @property
    def sent_digest(self) -> Digest:
        return self.original_digest or self.digest

    def is_same(self, kept: "Kept") -> bool:
        """Whether the kept bytes are these, as they were sent or as they are after coercion."""
        own, other = {self.digest, self.original_digest}, {kept.digest, kept.original_digest}
        return bool((own & other) - {None})


@dataclass(frozen=True, slots=True)
class Kept:
    """The bytes of an indexed or deleted instance, by their digest and that of what was sent."""

    digest: Digest
    original_digest: Digest | None
    rejected: bool = False


@dataclass(frozen=True, slots=True)
class _Grown:
    """What a batch adds to the studies and the series, by their ids."""

    studies: dict[int, Growth] = field(default_factory=dict)
    series: dict[int, int] = field(default_factory=dict)

    def add(self, study_id: int, series_id: int, count: int, modalities: str) -> None:
        self.series[series_id] = count
        self.studies[study_id].instances += count
        self.studies[study_id].modalities.update(modalities_in(modalities))


def add_instances(connection: sa.Connection, batch: Sequence[NewInstance], now_ms: int) -> list[Outcome]:
    """Index a batch; the outcomes stand in the batch's order.

    The same bytes again are a success that changes nothing; other bytes under a known SOP Instance UID are refused
    with 0x0111, also when both come in one batch. What was deleted comes back with the same bytes, is refused with
    others for as long as it can be restored, and is refused for ever where it was rejected.
    """
    uids = [new.parsed.instance_uid for new in batch]
    known, deleted = _known_instances(connection, uids), _deleted_instances(connection, uids)
    reserved = find_copies(connection, {new.parsed.study_uid for new in batch})
    outcomes: list[Outcome] = []
    fresh: list[NewInstance] = []
    for new in batch:
        uid = new.parsed.instance_uid
        there = known.get(uid)
        if new.parsed.study_uid in reserved and not new.is_copy:
            outcomes.append(RefusedInstanceError(DUPLICATE_SOP_INSTANCE, FROM_HERE))
            continue
        if there is None and new.exclusive and is_anothers(connection, new.parsed.study_uid, new.stored_by):
            outcomes.append(RefusedInstanceError(NOT_AUTHORIZED, ANOTHERS))
            continue
        if there is None and uid in deleted:
            refusal = _refusal(new, deleted[uid])
            if refusal is not None:
                outcomes.append(refusal)
                continue
        if there is None:
            known[uid] = Kept(new.digest, new.original_digest)
            fresh.append(new)
        outcomes.append(_outcome(new, there))
    if fresh:
        back = [new.parsed.instance_uid for new in fresh if new.parsed.instance_uid in deleted]
        if back:
            connection.execute(_FORGET_DELETED, {"uids": back})
        grown = _Grown()
        study_ids = _upsert_studies(connection, fresh, grown, now_ms)
        series_ids = _upsert_series(connection, fresh, study_ids, grown, now_ms)
        _insert_instances(connection, fresh, study_ids, series_ids, now_ms)
        count_further(connection, grown.studies, grown.series, now_ms)
    return outcomes


def is_anothers(connection: sa.Connection, study_uid: str, by: str) -> bool:
    """Whether any instance of a study, deleted ones too, came from anybody else."""
    stored = (
        sa.select(instances.c.id)
        .join(studies, studies.c.id == instances.c.study_id)
        .where(studies.c.study_uid == study_uid, instances.c.stored_by != by)
    )
    gone = sa.select(deleted_instances.c.id).where(
        deleted_instances.c.study_uid == study_uid, deleted_instances.c.stored_by != by
    )
    return any(connection.execute(query.limit(1)).first() is not None for query in (stored, gone))


def _outcome(new: NewInstance, there: Kept | None) -> Outcome:
    if there is not None and not new.is_same(there):
        return RefusedInstanceError(
            DUPLICATE_SOP_INSTANCE,
            "Another object with this SOP Instance UID and other bytes is stored; the first one was kept.",
        )
    parsed = new.parsed
    stored_digest = new.digest if there is None else there.digest
    return StoredInstance(
        parsed.study_uid,
        parsed.series_uid,
        parsed.instance_uid,
        parsed.sop_class_uid,
        already_there=there is not None,
        warning_reason=COERCED if stored_digest != new.sent_digest else None,
        warnings=parsed.warnings,
    )


def _refusal(new: NewInstance, kept: Kept) -> RefusedInstanceError | None:
    """Why an instance that was deleted is not taken; None where it is."""
    if kept.rejected:
        message = "This instance was rejected here and is not taken again; an administrator can restore it."
    elif not new.is_same(kept):
        message = (
            "An instance with this SOP Instance UID and other bytes was deleted here and can still be restored; "
            "until it is purged, no other takes its place."
        )
    else:
        return None
    parsed = new.parsed
    return RefusedInstanceError(
        DUPLICATE_SOP_INSTANCE, message, sop_class_uid=parsed.sop_class_uid, instance_uid=parsed.instance_uid
    )


def _deleted_instances(connection: sa.Connection, uids: Sequence[str]) -> dict[str, Kept]:
    rows = rows_among(connection, _FIND_DELETED, "uids", uids)
    return {uid: Kept(digest, original, bool(rejected)) for uid, digest, original, rejected in rows}


def _known_instances(connection: sa.Connection, uids: Sequence[str]) -> dict[str, Kept]:
    rows = rows_among(connection, _FIND_KNOWN, "uids", uids)
    return {uid: Kept(digest, original) for uid, digest, original in rows}


def _upsert_studies(
    connection: sa.Connection, fresh: Sequence[NewInstance], grown: _Grown, now_ms: int
) -> dict[StudyUID, int]:
    attributes: dict[StudyUID, JsonAttributes] = {}
    for new in fresh:
        own = {tag: value for tag, value in new.parsed.attributes.items() if tag in STUDY_ATTRIBUTES}
        attributes[new.parsed.study_uid] = own | attributes.get(new.parsed.study_uid, {})
    ids: dict[StudyUID, int] = {}
    for uid, study_id, stored, modalities in list(rows_among(connection, _FIND_STUDIES, "uids", list(attributes))):
        ids[StudyUID(uid)] = study_id
        grown.studies[study_id] = Growth(modalities=set(modalities_in(modalities)))
        before: JsonAttributes = orjson.loads(stored)
        after = _completed(before, attributes[StudyUID(uid)])
        if after != before:
            values = columns_of(after, STUDY_COLUMNS)
            connection.execute(sa.update(studies).where(studies.c.id == study_id).values(**values))
    for uid, own in attributes.items():
        if uid not in ids:
            values = columns_of(own, STUDY_COLUMNS) | {"study_uid": uid, "stored_ms": now_ms, "updated_ms": now_ms}
            ids[uid] = insert_row(connection, _INSERT_STUDY, values)
            grown.studies[ids[uid]] = Growth()
    return ids


def _upsert_series(
    connection: sa.Connection,
    fresh: Sequence[NewInstance],
    study_ids: dict[StudyUID, int],
    grown: _Grown,
    now_ms: int,
) -> dict[tuple[int, SeriesUID], int]:
    attributes: dict[tuple[int, SeriesUID], JsonAttributes] = {}
    first: dict[tuple[int, SeriesUID], JsonAttributes] = {}
    count: Counter[tuple[int, SeriesUID]] = Counter()
    for new in fresh:
        key = (study_ids[new.parsed.study_uid], new.parsed.series_uid)
        first.setdefault(key, new.parsed.attributes)
        count[key] += 1
        own = {tag: value for tag, value in new.parsed.attributes.items() if tag in SERIES_ATTRIBUTES}
        attributes[key] = own | attributes.get(key, {})
    ids: dict[tuple[int, SeriesUID], int] = {}
    uids = list({uid for _, uid in attributes})
    for study_id, uid, series_id, stored in list(rows_among(connection, _FIND_SERIES, "uids", uids)):
        key = (study_id, SeriesUID(uid))
        if key not in attributes:
            continue
        ids[key] = series_id
        before: JsonAttributes = orjson.loads(stored)
        after = attributes[key] = _completed(before, attributes[key])
        if after != before:
            values = columns_of(after, SERIES_COLUMNS)
            connection.execute(sa.update(series).where(series.c.id == series_id).values(**values))
    for key, own in attributes.items():
        if key not in ids:
            values = columns_of(own, SERIES_COLUMNS) | {"study_id": key[0], "series_uid": key[1]}
            values |= {"stored_ms": now_ms, "updated_ms": now_ms}
            ids[key] = insert_row(connection, _INSERT_SERIES, values)
            grown.studies[key[0]].series += 1
            _insert_sequence_values(connection, first[key], Level.SERIES, (key[0], ids[key], None))
        grown.add(key[0], ids[key], count[key], text_of(own.get(MODALITY)))
    return ids


def _insert_instances(
    connection: sa.Connection,
    fresh: Sequence[NewInstance],
    study_ids: dict[StudyUID, int],
    series_ids: dict[tuple[int, SeriesUID], int],
    now_ms: int,
) -> None:
    rows: list[dict[str, Any]] = []
    for new in fresh:
        parsed = new.parsed
        study_id = study_ids[parsed.study_uid]
        values = {column: text_of(parsed.attributes.get(tag)) for column, tag in INSTANCE_COLUMNS.items()}
        rows.append(
            values
            | {
                "study_id": study_id,
                "series_id": series_ids[study_id, parsed.series_uid],
                "instance_uid": parsed.instance_uid,
                "sop_class_uid": parsed.sop_class_uid,
                "transfer_syntax_uid": parsed.transfer_syntax_uid,
                "digest": new.digest,
                "original_digest": new.original_digest,
                "checksum": new.checksum,
                "length_bytes": new.length_bytes,
                "is_report": is_report(parsed.sop_class_uid),
                "is_image": parsed.pixels is not None,
                "stored_ms": now_ms,
                "stored_by": new.stored_by,
                "frames": parsed.frames.to_bytes(),
                "pixels": orjson.dumps(asdict(parsed.pixels)) if parsed.pixels else None,
            }
        )
    uids = [new.parsed.instance_uid for new in fresh]
    if len(rows) == 1:
        ids = {uids[0]: insert_row(connection, _INSERT_INSTANCE, rows[0])}
    else:
        run_each(connection, _INSERT_INSTANCE, rows)
        ids = {row[0]: row[1] for row in rows_among(connection, _FIND_IDS, "uids", uids)}
    documents = [{"instance_id": ids[new.parsed.instance_uid], "document": new.parsed.metadata} for new in fresh]
    run_each(connection, _INSERT_METADATA, documents)
    for new, row in zip(fresh, rows, strict=True):
        owner = (row["study_id"], row["series_id"], ids[new.parsed.instance_uid])
        _insert_sequence_values(connection, new.parsed.attributes, Level.INSTANCE, owner)


def _insert_sequence_values(
    connection: sa.Connection, attributes: JsonAttributes, level: Level, owner: tuple[int, int, int | None]
) -> None:
    study_id, series_id, instance_id = owner
    rows = [
        {"study_id": study_id, "series_id": series_id, "instance_id": instance_id, "path": path, "value": value}
        for path, path_level in SEQUENCE_PATHS.items()
        if path_level is level
        for value in sorted(set(_values_at(attributes, path.split("."))))
    ]
    if rows:
        run_each(connection, _INSERT_SEQUENCE_VALUE, rows)


def _values_at(attributes: JsonAttributes, path: Sequence[str]) -> Iterable[str]:
    entry = attributes.get(path[0])
    if entry is None:
        return
    if len(path) == 1:
        if text := text_of(entry):
            yield text
        return
    for item in entry.get("Value", ()):
        yield from _values_at(item, path[1:])


def _completed(before: JsonAttributes, new: JsonAttributes) -> JsonAttributes:
    """`before`, with those attributes of `new` that it lacks or has empty."""
    return before | {
        tag: value for tag, value in new.items() if "Value" in value and "Value" not in before.get(tag, {})
    }
