"""Imports and their files in the database: whose, what is listed, what was chosen, what became of each file."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from archive.database.dialects import total
from archive.database.import_tables import import_files, import_series, imports
from archive.errors import ConflictError, NotFoundError, PayloadTooLargeError, TooManyRequestsError
from archive.media.heads import Head
from archive.media.kinds import Kind

DAY_MS = 86_400_000
LIFE_MS = 7 * DAY_MS
MAXIMUM_FILES = 50_000
MAXIMUM_OPEN = 5
MAXIMUM_BEGUN_A_DAY = 30
MAXIMUM_DIRECTORIES = 8
"""DICOMDIRs of one import, which are sent before anything was chosen and so count towards no quota."""


class State(StrEnum):
    """What became of a file. WAITING: it is to be sent. STORED: new here. THERE: the same bytes were here before.
    READ: a DICOMDIR."""

    WAITING = "waiting"
    STORED = "stored"
    THERE = "there"
    REFUSED = "refused"
    SKIPPED = "skipped"
    READ = "read"


class Role(StrEnum):
    IMAGE = "image"
    REPORT = "report"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Quota:
    """How much one person may import, over all imports."""

    length_bytes: int
    files: int


@dataclass(frozen=True, slots=True)
class Importer:
    """Who imports: a member of staff, or the holder of an owner link. `label` names them in trail and index."""

    kind: str
    subject: str
    label: str
    quota: Quota | None = None
    study_uids: frozenset[str] = frozenset()
    """Studies that an owner sees already."""
    address: str = ""

    @property
    def is_owner(self) -> bool:
        return self.kind == "owner"


@dataclass(frozen=True, slots=True)
class Import:
    """An import as it stands. `patient_id` is the local one that its images are put under, or ""."""

    import_id: str
    expires_ms: int
    chosen_ms: int | None
    finished_ms: int | None
    patient_id: str


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file that the browser named, as it is to be kept; `head` is what the beginning of a DICOM file told."""

    path: str
    length_bytes: int
    kind: str
    state: State
    role: Role = Role.OTHER
    code: str = ""
    message: str = ""
    head: Head | None = None


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file of an import."""

    number: int
    path: str
    length_bytes: int
    kind: str
    state: State
    code: str
    message: str
    sha256: str
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """Which studies are to come, as (patient key, study UID), and the local patient ID to put them under, or ""."""

    studies: frozenset[tuple[str, str]]
    patient_id: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a file that was sent."""

    state: State
    code: str = ""
    message: str = ""
    role: Role | None = None
    sha256: str = ""


def begin_import(connection: sa.Connection, importer: Importer, now_ms: int) -> Import:
    """A new import. Raises TooManyRequestsError when this person has begun too many."""
    own = sa.and_(imports.c.kind == importer.kind, imports.c.subject == importer.subject)
    unfinished = sa.and_(imports.c.finished_ms.is_(None), imports.c.expires_ms > now_ms)
    day = imports.c.created_ms > now_ms - DAY_MS
    if _count(connection, own, unfinished) >= MAXIMUM_OPEN:
        raise TooManyRequestsError("Finish or give up an import before you begin another.", retry_after_s=60)
    if _count(connection, own, day) >= MAXIMUM_BEGUN_A_DAY:
        raise TooManyRequestsError("Too many imports were begun today; go on tomorrow.", retry_after_s=3600)
    import_id = secrets.token_hex(16)
    values = {"kind": importer.kind, "subject": importer.subject, "created_ms": now_ms, "expires_ms": now_ms + LIFE_MS}
    connection.execute(sa.insert(imports).values(id=import_id, **values))
    return Import(import_id, now_ms + LIFE_MS, None, None, "")


def find_import(connection: sa.Connection, importer: Importer, import_id: str, now_ms: int) -> Import:
    """The import. Raises NotFoundError for one that is not there, is another's, or has expired: one answer for all."""
    row = connection.execute(
        sa.select(imports).where(
            imports.c.id == import_id,
            imports.c.kind == importer.kind,
            imports.c.subject == importer.subject,
            imports.c.expires_ms > now_ms,
            imports.c.cleared_ms.is_(None),
        )
    ).one_or_none()
    if row is None:
        raise NotFoundError("This import is not there, or has expired.")
    return Import(row.id, row.expires_ms, row.chosen_ms, row.finished_ms, row.patient_id)


def list_files(
    connection: sa.Connection, importer: Importer, import_id: str, listed: Sequence[ListedFile]
) -> list[FileRow]:
    """Add files to the list; one whose path is there already is only replaced if it is another file by now.

    Whatever was chosen before has to be chosen again then: with more files it is another choice, and more to count.
    """
    known = {row.path: row for row in _rows(connection, import_id, import_files.c.path.in_([f.path for f in listed]))}
    fresh = [file for file in listed if file.path not in known or known[file.path].length_bytes != file.length_bytes]
    if fresh:
        connection.execute(sa.update(imports).where(imports.c.id == import_id).values(chosen_ms=None))
    number, directories = _listed_so_far(connection, import_id)
    limit = MAXIMUM_FILES if importer.quota is None else min(MAXIMUM_FILES, importer.quota.files)
    if number + len(fresh) > limit:
        message = f"One import may have at most {limit} files; import the folders one by one."
        raise PayloadTooLargeError(message, limit_bytes=limit)
    for file in fresh:
        if file.kind == Kind.DIRECTORY and file.state is State.WAITING:
            directories += 1
            if directories > MAXIMUM_DIRECTORIES:
                file = replace(file, state=State.REFUSED, code="dicomdir", message="There are too many DICOMDIRs.")
        before = known.get(file.path)
        number = number + 1 if before is None else number
        known[file.path] = _keep(connection, import_id, before.number if before is not None else number, file)
    return [known[file.path] for file in listed]


def files_of(connection: sa.Connection, import_id: str) -> list[FileRow]:
    return _rows(connection, import_id, sa.true())


def listing_version(connection: sa.Connection, import_id: str) -> tuple[int, int]:
    """What changes with the list, and with the DICOMDIRs that were read."""
    read = sa.case((import_files.c.state == State.READ, 1), else_=0)
    query = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(read), 0)).where(
        import_files.c.import_id == import_id
    )
    files, directories = connection.execute(query).one()
    return files, directories


def find_file(connection: sa.Connection, import_id: str, number: int) -> FileRow:
    """The file. Raises NotFoundError."""
    rows = _rows(connection, import_id, import_files.c.number == number)
    if not rows:
        raise NotFoundError("There is no such file in this import.")
    return rows[0]


def choose(connection: sa.Connection, importer: Importer, import_id: str, choice: Choice, now_ms: int) -> int:
    """Keep which studies are to come; how many bytes that is.

    Raises PayloadTooLargeError when it is more than this person may import.
    """
    own = import_series.c.import_id == import_id
    connection.execute(sa.update(import_series).where(own).values(chosen=False))
    for patient_key, study_uid in choice.studies:
        named = sa.and_(import_series.c.patient_key == patient_key, import_series.c.study_uid == study_uid)
        connection.execute(sa.update(import_series).where(own, named).values(chosen=True))
    connection.execute(
        sa.update(imports)
        .where(imports.c.id == import_id, imports.c.finished_ms.is_(None))
        .values(chosen_ms=now_ms, patient_id=choice.patient_id)
    )
    _, length_bytes = _waiting(connection, imports.c.id == import_id)
    if importer.quota is not None:
        _hold_to(connection, importer, importer.quota, now_ms)
    return length_bytes


def is_chosen(connection: sa.Connection, import_id: str, head: Head) -> bool:
    """Whether a file that begins so is of a patient and study that were chosen."""
    query = sa.select(import_series.c.id).where(
        import_series.c.import_id == import_id,
        import_series.c.patient_key == head.patient_key,
        import_series.c.study_uid == head.study_uid,
        import_series.c.chosen.is_(True),
    )
    return connection.execute(query.limit(1)).first() is not None


def keep_result(connection: sa.Connection, import_id: str, file: FileRow, result: Result) -> None:
    """Write down what became of a file, once; what was sent and was not here counts for ever."""
    values: dict[str, Any] = {
        "state": str(result.state),
        "code": result.code,
        "message": result.message,
        "sha256": result.sha256,
    }
    if result.role is not None:
        values["role"] = str(result.role)
    changed = connection.execute(
        sa.update(import_files)
        .where(
            import_files.c.import_id == import_id,
            import_files.c.number == file.number,
            import_files.c.state.in_([State.WAITING, State.REFUSED]),
        )
        .values(**values)
    )
    if changed.rowcount and result.state in (State.STORED, State.REFUSED):
        connection.execute(
            sa.update(imports)
            .where(imports.c.id == import_id)
            .values(new_files=imports.c.new_files + 1, new_bytes=imports.c.new_bytes + file.length_bytes)
        )


def finish_import(connection: sa.Connection, import_id: str, now_ms: int) -> bool:
    """End the import; whether it was open until now."""
    changed = connection.execute(
        sa.update(imports)
        .where(imports.c.id == import_id, imports.c.finished_ms.is_(None), imports.c.chosen_ms.is_not(None))
        .values(finished_ms=now_ms)
    )
    return bool(changed.rowcount)


def clear_import(connection: sa.Connection, import_id: str, now_ms: int) -> None:
    """Forget what the disc said; only the counts stay."""
    for table in (import_files, import_series):
        connection.execute(sa.delete(table).where(table.c.import_id == import_id))
    connection.execute(
        sa.update(imports)
        .where(imports.c.id == import_id)
        .values(cleared_ms=now_ms, finished_ms=sa.func.coalesce(imports.c.finished_ms, now_ms))
    )


def expired_imports(connection: sa.Connection, now_ms: int) -> list[str]:
    query = sa.select(imports.c.id).where(imports.c.cleared_ms.is_(None), imports.c.expires_ms <= now_ms)
    return list(connection.execute(query).scalars())


def living_imports(connection: sa.Connection) -> set[str]:
    """Those that may have parts of files on the disk."""
    query = sa.select(imports.c.id).where(imports.c.cleared_ms.is_(None), imports.c.finished_ms.is_(None))
    return set(connection.execute(query).scalars())


def require_open(found: Import) -> Import:
    """Raises ConflictError for an import that is finished."""
    if found.finished_ms is not None:
        raise ConflictError("This import is finished.")
    return found


def _listed_so_far(connection: sa.Connection, import_id: str) -> tuple[int, int]:
    """The last number, and how many of the files are DICOMDIRs."""
    directory = sa.case((import_files.c.kind == Kind.DIRECTORY, 1), else_=0)
    query = sa.select(
        sa.func.coalesce(sa.func.max(import_files.c.number), 0), sa.func.coalesce(sa.func.sum(directory), 0)
    )
    row = connection.execute(query.where(import_files.c.import_id == import_id)).one()
    return int(row[0]), int(row[1])


def _keep(connection: sa.Connection, import_id: str, number: int, file: ListedFile) -> FileRow:
    values = {
        "length_bytes": file.length_bytes,
        "kind": file.kind,
        "series_id": _series_id(connection, import_id, file.head) if file.head is not None else None,
        "instance_uid": file.head.instance_uid if file.head is not None else "",
        "role": str(file.role),
        "state": str(file.state),
        "code": file.code,
        "message": file.message,
    }
    own = sa.and_(import_files.c.import_id == import_id, import_files.c.number == number)
    if not connection.execute(sa.update(import_files).where(own).values(**values)).rowcount:
        row = {"import_id": import_id, "number": number, "path": file.path, **values}
        connection.execute(sa.insert(import_files).values(row))
    return FileRow(number, file.path, file.length_bytes, file.kind, file.state, file.code, file.message, "")


def _series_id(connection: sa.Connection, import_id: str, head: Head) -> int:
    named = {
        "import_id": import_id,
        "patient_key": head.patient_key,
        "study_uid": head.study_uid,
        "series_uid": head.series_uid,
    }
    query = sa.select(import_series.c.id).where(*(import_series.c[name] == value for name, value in named.items()))
    found = connection.execute(query).scalar()
    if found is not None:
        return int(found)
    told = ("patient_name", "patient_id", "birth_date", "study_date", "study_description", "modality",
            "series_number", "series_description")  # fmt: skip
    values = {**named, **{name: getattr(head, name) for name in told}, "chosen": False}
    made = connection.execute(sa.insert(import_series).values(values).returning(import_series.c.id))
    return int(made.scalar_one())


def _rows(connection: sa.Connection, import_id: str, wanted: sa.ColumnElement[bool]) -> list[FileRow]:
    names = ("number", "path", "length_bytes", "kind", "state", "code", "message", "sha256")
    query = (
        sa.select(
            *(import_files.c[name] for name in names), sa.func.coalesce(import_series.c.chosen, False).label("chosen")
        )
        .select_from(import_files.join(import_series, import_series.c.id == import_files.c.series_id, isouter=True))
        .where(import_files.c.import_id == import_id, wanted)
    )
    rows = connection.execute(query.order_by(import_files.c.number))
    return [FileRow(**{**row._mapping, "state": State(row.state)}) for row in rows]


def _count(connection: sa.Connection, *wanted: sa.ColumnElement[bool]) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(imports).where(*wanted)).scalar_one())


def _waiting(connection: sa.Connection, *wanted: sa.ColumnElement[bool]) -> tuple[int, int]:
    """Files that are to come, and their bytes."""
    joined = import_files.join(imports, imports.c.id == import_files.c.import_id).join(
        import_series, import_series.c.id == import_files.c.series_id
    )
    row = connection.execute(
        sa.select(sa.func.count(), total(import_files.c.length_bytes))
        .select_from(joined)
        .where(import_files.c.state == State.WAITING, import_series.c.chosen.is_(True), *wanted)
    ).one()
    return int(row[0]), int(row[1])


def _hold_to(connection: sa.Connection, importer: Importer, quota: Quota, now_ms: int) -> None:
    own = sa.and_(imports.c.kind == importer.kind, imports.c.subject == importer.subject)
    done = connection.execute(sa.select(total(imports.c.new_files), total(imports.c.new_bytes)).where(own)).one()
    unfinished = sa.and_(imports.c.finished_ms.is_(None), imports.c.expires_ms > now_ms)
    files, length_bytes = _waiting(connection, own, unfinished)
    if done[0] + files > quota.files:
        message = f"By this link at most {quota.files} files may be sent; ask the desk to import this disc."
        raise PayloadTooLargeError(message, limit_bytes=quota.length_bytes)
    if done[1] + length_bytes > quota.length_bytes:
        message = (
            f"By this link at most {quota.length_bytes / 1e9:.0f} GB may be sent; ask the desk to import this disc."
        )
        raise PayloadTooLargeError(message, limit_bytes=quota.length_bytes)
