"""Add instances to the index: one batch, one transaction, few statements.

Nothing that is indexed is ever overwritten: the first bytes under a SOP Instance UID stay. Attributes of the study and
the series are those of the instance that came first, completed by what later instances add.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
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
from archive.errors import RefusedInstanceError
from archive.identifiers import Digest, SeriesUID, StudyUID
from archive.index.folding import fold_name, name_words
from archive.instances import ParsedInstance, StoredInstance

DUPLICATE_SOP_INSTANCE = 0x0111
MODALITY = "00080060"
JsonAttributes = dict[str, dict[str, Any]]
Outcome = StoredInstance | RefusedInstanceError

STUDY_COLUMNS = {
    "StudyDate": "00080020",
    "StudyTime": "00080030",
    "AccessionNumber": "00080050",
    "ReferringPhysicianName": "00080090",
    "PatientName": "00100010",
    "PatientID": "00100020",
    "StudyID": "00200010",
    "StudyDescription": "00081030",
    "PatientBirthDate": "00100030",
    "PatientSex": "00100040",
}
SERIES_COLUMNS = {
    "Modality": MODALITY,
    "SeriesNumber": "00200011",
    "SeriesDescription": "0008103E",
    "BodyPartExamined": "00180015",
    "PerformedProcedureStepStartDate": "00400244",
    "PerformedProcedureStepStartTime": "00400245",
}
INSTANCE_COLUMNS = {
    "InstanceNumber": "00200013",
    "Rows": "00280010",
    "Columns": "00280011",
    "BitsAllocated": "00280100",
    "NumberOfFrames": "00280008",
    "ContentDate": "00080023",
    "ContentTime": "00080033",
    "ImageType": "00080008",
}
FOLDED = ("PatientName", "ReferringPhysicianName")
REPORT_CLASSES = ("1.2.840.10008.5.1.4.1.1.88.", "1.2.840.10008.5.1.4.1.1.104.")
"""Structured reports (but for key object selection) and encapsulated documents, by the start of their SOP class UID."""
KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"


@dataclass(frozen=True, slots=True)
class NewInstance:
    """An instance whose blob is kept and synced, to be indexed."""

    parsed: ParsedInstance
    digest: Digest
    length_bytes: int
    stored_by: str


def add_instances(connection: sa.Connection, batch: Sequence[NewInstance], now_ms: int) -> list[Outcome]:
    """Index a batch; the outcomes stand in the batch's order.

    The same bytes again are a success that changes nothing; other bytes under a known SOP Instance UID are refused
    with 0x0111, also when both come in one batch. What was deleted comes back with the same bytes, is refused with
    others for as long as it can be restored, and is refused for ever where it was rejected.
    """
    uids = [new.parsed.instance_uid for new in batch]
    known, deleted = _known_instances(connection, uids), _deleted_instances(connection, uids)
    outcomes: list[Outcome] = []
    fresh: list[NewInstance] = []
    for new in batch:
        uid = new.parsed.instance_uid
        there = known.get(uid)
        if there is None and uid in deleted:
            refusal = _refusal(new, *deleted[uid])
            if refusal is not None:
                outcomes.append(refusal)
                continue
        if there is None:
            known[uid] = (new.digest, new.parsed.study_uid, new.parsed.series_uid)
            fresh.append(new)
        outcomes.append(_outcome(new, there))
    if fresh:
        back = [new.parsed.instance_uid for new in fresh if new.parsed.instance_uid in deleted]
        connection.execute(sa.delete(deleted_instances).where(deleted_instances.c.instance_uid.in_(back)))
        study_ids = _upsert_studies(connection, fresh, now_ms)
        series_ids = _upsert_series(connection, fresh, study_ids, now_ms)
        _insert_instances(connection, fresh, study_ids, series_ids, now_ms)
        count_again(connection, set(study_ids.values()), set(series_ids.values()))
    return outcomes


def _outcome(new: NewInstance, there: tuple[Digest, str, str] | None) -> Outcome:
    if there is not None and there[0] != new.digest:
        return RefusedInstanceError(
            DUPLICATE_SOP_INSTANCE,
            "Another object with this SOP Instance UID and other bytes is stored; the first one was kept.",
        )
    parsed = new.parsed
    return StoredInstance(
        parsed.study_uid,
        parsed.series_uid,
        parsed.instance_uid,
        parsed.sop_class_uid,
        already_there=there is not None,
        warnings=parsed.warnings,
    )


def _refusal(new: NewInstance, digest: Digest, rejected: bool) -> RefusedInstanceError | None:
    """Why an instance that was deleted is not taken; None where it is."""
    if rejected:
        message = "This instance was rejected here and is not taken again; an administrator can restore it."
    elif digest != new.digest:
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


def _deleted_instances(connection: sa.Connection, uids: Sequence[str]) -> dict[str, tuple[Digest, bool]]:
    table = deleted_instances.c
    query = sa.select(table.instance_uid, table.digest, table.rejected).where(table.instance_uid.in_(uids))
    return {row[0]: (Digest(row[1]), bool(row[2])) for row in connection.execute(query)}


def _known_instances(connection: sa.Connection, uids: Sequence[str]) -> dict[str, tuple[Digest, str, str]]:
    query = (
        sa.select(instances.c.instance_uid, instances.c.digest, studies.c.study_uid, series.c.series_uid)
        .join(studies, studies.c.id == instances.c.study_id)
        .join(series, series.c.id == instances.c.series_id)
        .where(instances.c.instance_uid.in_(uids))
    )
    return {row[0]: (Digest(row[1]), row[2], row[3]) for row in connection.execute(query)}


def _upsert_studies(connection: sa.Connection, fresh: Sequence[NewInstance], now_ms: int) -> dict[StudyUID, int]:
    attributes: dict[StudyUID, JsonAttributes] = {}
    for new in fresh:
        own = {tag: value for tag, value in new.parsed.attributes.items() if tag in STUDY_ATTRIBUTES}
        attributes[new.parsed.study_uid] = own | attributes.get(new.parsed.study_uid, {})
    query = sa.select(studies.c.study_uid, studies.c.id, studies.c.attributes).where(
        studies.c.study_uid.in_(list(attributes))
    )
    ids: dict[StudyUID, int] = {}
    for uid, study_id, stored in connection.execute(query).all():
        ids[StudyUID(uid)] = study_id
        before: JsonAttributes = orjson.loads(stored)
        after = _completed(before, attributes[StudyUID(uid)])
        if after != before:
            values = _columns(after, STUDY_COLUMNS)
            connection.execute(sa.update(studies).where(studies.c.id == study_id).values(**values))
    for uid, own in attributes.items():
        if uid not in ids:
            values = _columns(own, STUDY_COLUMNS) | {"study_uid": uid, "stored_ms": now_ms, "updated_ms": now_ms}
            ids[uid] = _inserted_id(connection.execute(sa.insert(studies).values(**values)))
    connection.execute(sa.update(studies).where(studies.c.id.in_(ids.values())).values(updated_ms=now_ms))
    return ids


def _upsert_series(
    connection: sa.Connection, fresh: Sequence[NewInstance], study_ids: dict[StudyUID, int], now_ms: int
) -> dict[tuple[int, SeriesUID], int]:
    attributes: dict[tuple[int, SeriesUID], JsonAttributes] = {}
    first: dict[tuple[int, SeriesUID], JsonAttributes] = {}
    for new in fresh:
        key = (study_ids[new.parsed.study_uid], new.parsed.series_uid)
        first.setdefault(key, new.parsed.attributes)
        own = {tag: value for tag, value in new.parsed.attributes.items() if tag in SERIES_ATTRIBUTES}
        attributes[key] = own | attributes.get(key, {})
    query = sa.select(series.c.study_id, series.c.series_uid, series.c.id, series.c.attributes).where(
        series.c.series_uid.in_([uid for _, uid in attributes])
    )
    ids: dict[tuple[int, SeriesUID], int] = {}
    for study_id, uid, series_id, stored in connection.execute(query).all():
        key = (study_id, SeriesUID(uid))
        if key not in attributes:
            continue
        ids[key] = series_id
        before: JsonAttributes = orjson.loads(stored)
        after = _completed(before, attributes[key])
        if after != before:
            values = _columns(after, SERIES_COLUMNS)
            connection.execute(sa.update(series).where(series.c.id == series_id).values(**values))
    for key, own in attributes.items():
        if key not in ids:
            values = _columns(own, SERIES_COLUMNS) | {"stored_ms": now_ms, "updated_ms": now_ms}
            insert = sa.insert(series).values(study_id=key[0], series_uid=key[1], **values)
            ids[key] = _inserted_id(connection.execute(insert))
            _insert_sequence_values(connection, first[key], Level.SERIES, (key[0], ids[key], None))
    connection.execute(sa.update(series).where(series.c.id.in_(ids.values())).values(updated_ms=now_ms))
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
                "length_bytes": new.length_bytes,
                "is_report": is_report(parsed.sop_class_uid),
                "is_image": parsed.pixels is not None,
                "stored_ms": now_ms,
                "stored_by": new.stored_by,
                "frames": parsed.frames.to_bytes(),
                "pixels": orjson.dumps(asdict(parsed.pixels)) if parsed.pixels else None,
            }
        )
    connection.execute(sa.insert(instances), rows)
    query = sa.select(instances.c.instance_uid, instances.c.id).where(
        instances.c.instance_uid.in_([new.parsed.instance_uid for new in fresh])
    )
    ids = {row[0]: row[1] for row in connection.execute(query)}
    documents = [{"instance_id": ids[new.parsed.instance_uid], "document": new.parsed.metadata} for new in fresh]
    connection.execute(sa.insert(instance_metadata), documents)
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
        connection.execute(sa.insert(sequence_values), rows)


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


def count_again(connection: sa.Connection, study_ids: Iterable[int], series_ids: Iterable[int]) -> None:
    """Bring the counters and ModalitiesInStudy of these studies and series up to date."""
    in_series = sa.select(sa.func.count()).where(instances.c.series_id == series.c.id).scalar_subquery()
    connection.execute(sa.update(series).where(series.c.id.in_(list(series_ids))).values(instance_count=in_series))
    ids = list(study_ids)
    modalities: dict[int, set[str]] = defaultdict(set)
    counts: dict[int, list[int]] = {study_id: [0, 0] for study_id in ids}
    query = sa.select(series.c.study_id, series.c.Modality, series.c.instance_count).where(series.c.study_id.in_(ids))
    for study_id, modality, count in connection.execute(query):
        if count == 0:
            continue
        counts[study_id][0] += 1
        counts[study_id][1] += count
        modalities[study_id].update(filter(None, modality.split("\\")))
    for study_id, (series_count, instance_count) in counts.items():
        connection.execute(
            sa.update(studies)
            .where(studies.c.id == study_id)
            .values(
                series_count=series_count,
                instance_count=instance_count,
                ModalitiesInStudy="\\".join(sorted(modalities[study_id])),
            )
        )


def _completed(before: JsonAttributes, new: JsonAttributes) -> JsonAttributes:
    """`before`, with those attributes of `new` that it lacks or has empty."""
    return before | {
        tag: value for tag, value in new.items() if "Value" in value and "Value" not in before.get(tag, {})
    }


def _columns(attributes: JsonAttributes, columns: dict[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {column: text_of(attributes.get(tag)) for column, tag in columns.items()}
    for column in FOLDED:
        if column in values:
            values[f"{column}_folded"] = fold_name(values[column])
            values[f"{column}_words"] = name_words(values[column])
    values["attributes"] = orjson.dumps(attributes, option=orjson.OPT_SORT_KEYS)
    return values


def _inserted_id(result: sa.CursorResult[Any]) -> int:
    key = result.inserted_primary_key
    if key is None:
        raise LookupError("The database gave no key for a new row.")
    return int(key[0])


def is_report(sop_class_uid: str) -> bool:
    """Whether the object is a report to read: a structured report or an encapsulated document."""
    return sop_class_uid.startswith(REPORT_CLASSES) and sop_class_uid != KEY_OBJECT_SELECTION


def text_of(entry: dict[str, Any] | None) -> str:
    """The value of a DICOM JSON attribute as the index keeps it: text, several joined by a backslash."""
    if entry is None:
        return ""
    return "\\".join(_one_text(value) for value in entry.get("Value", ()))


def _one_text(value: Any) -> str:
    if isinstance(value, dict):
        groups = [value.get(group, "") for group in ("Alphabetic", "Ideographic", "Phonetic")]
        return "=".join(groups).rstrip("=")
    return "" if value is None else str(value)
