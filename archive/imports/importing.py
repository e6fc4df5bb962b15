"""One import from its first file to its summary: list, choose, take pieces, finish.

The browser is believed in nothing that matters: what a file is, whose it is and whether it is whole is looked at anew
when its bytes are here. A patient who imports can add to nobody's study: only to what came by the same link alone.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from archive.audit import Action, Audit, Event
from archive.completeness.record import announce, check_and_keep, read_findings
from archive.database.engine import Connection, Database
from archive.dicom.coercion import ISSUER_OF_PATIENT_ID, PATIENT_ID, Coercion
from archive.errors import (
    BadRequestError,
    BusyError,
    ConflictError,
    LightboxError,
    RefusedInstanceError,
    StorageFullError,
    StoreError,
)
from archive.identifiers import StudyUID
from archive.imports import preview, record
from archive.imports.listing import DIRECTORY_BYTES, ListedName, classify, missing_of
from archive.imports.parts import Parts
from archive.imports.record import Choice, FileRow, Import, Importer, Quota, Result, Role, State
from archive.imports.taking import Way, take_file
from archive.index.texts import is_report
from archive.index.writer import ANOTHERS, NOT_AUTHORIZED, NewInstance, is_anothers
from archive.ingest import Ingest
from archive.media.directory import DirectoryEntry
from archive.media.heads import HEAD_BYTES, Head, read_head
from archive.media.kinds import Kind
from auth.matching import attach

PIECE_BYTES = 8 << 20
MAXIMUM_MISSING_KEPT = 100
PIECES_AT_ONCE = 16
"""Pieces held in memory at the same time, in this process."""
PIECES_OF_ONE = 6
SLOT_WAIT_S = 30.0
TIDY_EVERY_S = 600.0
DUPLICATE_INSTANCE = 0x0111
log = logging.getLogger("lightbox.imports")


class WrongDigestError(ConflictError):
    code = "wrong-digest"


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a file from `offset` on; `sha256` is that of the whole file."""

    offset: int
    data: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a file stands: `offset` is where the next piece begins."""

    offset: int
    state: State
    code: str = ""
    message: str = ""


@dataclass(slots=True)
class Imports:
    """What imports work with. `forget` is called when somebody may see more than before."""

    database: Database
    ingest: Ingest
    parts: Parts
    audit: Audit
    clock: Callable[[], int]
    forget: Callable[[], None]
    owner_quota: Quota
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PIECES_AT_ONCE))
    sending: Counter[str] = field(default_factory=Counter)
    _missing_kept: OrderedDict[str, tuple[Hashable, Sequence[DirectoryEntry]]] = field(default_factory=OrderedDict)

    @contextlib.asynccontextmanager
    async def slot(self, importer: Importer) -> AsyncIterator[None]:
        """Room for one piece in memory. Raises BusyError when there is none, or one person has taken their share."""
        who = f"{importer.kind} {importer.subject}"
        if self.sending[who] >= PIECES_OF_ONE:
            raise BusyError("Too many pieces are being sent at the same time.")
        self.sending[who] += 1
        try:
            try:
                await asyncio.wait_for(self.slots.acquire(), SLOT_WAIT_S)
            except TimeoutError:
                raise BusyError("Too many files are being sent at the moment.") from None
            try:
                yield
            finally:
                self.slots.release()
        finally:
            self.sending[who] -= 1
            if not self.sending[who]:
                del self.sending[who]

    async def find(self, importer: Importer, import_id: str) -> Import:
        return await self.database.keyed(record.find_import, importer, import_id, self.clock())

    async def begin(self, importer: Importer) -> Import:
        return await self.database.write(record.begin_import, importer, self.clock())

    async def add_files(self, importer: Importer, found: Import, names: Sequence[ListedName]) -> list[FileRow | None]:
        """Add files to the list; None for one whose beginning is too short to tell what it is."""
        record.require_open(found)
        limit_bytes = self.ingest.limits.instance_bytes
        listed = await asyncio.to_thread(lambda: [classify(name, limit_bytes) for name in names])
        told = [file for file in listed if file is not None]
        rows = iter(await self.database.write_batch(record.list_files, importer, found.import_id, told))
        return [next(rows) if file is not None else None for file in listed]

    async def overview(self, found: Import) -> dict[str, Any]:
        """The preview before sending, and the state of things at any time."""
        read = await self.database.read(preview.read_preview, found.import_id)
        missing = await self._missing(found)
        return {
            "id": found.import_id,
            "expires_ms": found.expires_ms,
            "chosen": found.chosen_ms is not None,
            "finished": found.finished_ms is not None,
            "patient_id": found.patient_id,
            "patients": read.patients,
            "needs_choice": len(read.patients) > 1,
            "counts": {**read.counts, "missing": len(missing)},
            "refused": read.refused,
            "missing": [entry.name for entry in missing[: preview.MAXIMUM_NAMES]],
        }

    async def choose(self, importer: Importer, found: Import, choice: Choice, *, same_person: bool) -> int:
        """Say which studies are to come; how many bytes that is."""
        record.require_open(found)
        read = await self.database.read(preview.read_preview, found.import_id)
        there = {(one["key"], study["study_uid"]) for one in read.patients for study in one["studies"]}
        if not choice.studies or not choice.studies <= there:
            raise BadRequestError("studies names some of the studies of the preview.", parameter="studies")
        if len({key for key, _ in choice.studies}) > 1 and not same_person:
            message = "The studies are of more than one patient. Choose one, or say that they are the same person."
            raise ConflictError(message, parameter="same_person")
        if choice.patient_id:
            self._coercion(choice.patient_id)
        length_bytes = await self.database.write(record.choose, importer, found.import_id, choice, self.clock())
        await asyncio.to_thread(self.parts.require_room, length_bytes)
        return length_bytes

    async def progress(self, found: Import, number: int) -> Progress:
        file = await self.database.keyed(record.find_file, found.import_id, number)
        if file.state is not State.WAITING:
            return Progress(file.length_bytes, file.state, file.code, file.message)
        return Progress(await asyncio.to_thread(self.parts.length_bytes, found.import_id, number), file.state)

    async def take_piece(self, importer: Importer, found: Import, number: int, piece: Piece) -> Progress:
        """Take a piece; with the last one the file is checked and taken in.

        Raises WrongDigestError when the file is not what its digest says: it has to be sent from its start.
        """
        file = await self.database.keyed(record.find_file, found.import_id, number)
        if file.state is not State.WAITING:
            return Progress(file.length_bytes, file.state, file.code, file.message)
        record.require_open(found)
        if found.chosen_ms is None and file.kind != Kind.DIRECTORY:
            raise ConflictError("Choose first which studies are to be sent.")
        end = piece.offset + len(piece.data)
        if end > file.length_bytes:
            raise BadRequestError("The file is longer than it was said to be.", parameter="offset")
        whole = piece.offset == 0 and end == file.length_bytes
        if not whole:
            length = await asyncio.to_thread(self.parts.append, found.import_id, number, piece.offset, piece.data)
            if length < file.length_bytes:
                return Progress(length, State.WAITING)
        try:
            await self._check_digest(found, file, piece, whole=whole)
            blocks = iter([piece.data]) if whole else self.parts.blocks(found.import_id, number)
            result = replace(await self._take(importer, found, file, blocks), sha256=piece.sha256)
        except FileNotFoundError:
            raise ConflictError("This file was sent twice at the same time.") from None
        await self.database.write(record.keep_result, found.import_id, file, result)
        await asyncio.to_thread(self.parts.remove, found.import_id, number)
        return Progress(file.length_bytes, result.state, result.code, result.message)

    async def finish(self, importer: Importer, found: Import) -> dict[str, Any]:
        """End the import and say what became of it; what was listed and never came is missed from now on."""
        if found.chosen_ms is None:
            raise ConflictError("Choose first which studies are to be sent.")
        ended = await self.database.write(record.finish_import, found.import_id, self.clock())
        studies = await self.database.read(preview.taken_studies, found.import_id)
        if ended:
            uids = await self.database.read(preview.missing_uids, found.import_id)
            missing = await self._missing(found)
            uids += [(one.study_uid, one.series_uid, one.instance_uid) for one in missing]
            announced = [one for one in uids if all(one) and one[0] in studies]
            await self.database.write_batch(announce, announced, self.clock())
            await asyncio.to_thread(self.parts.remove_import, found.import_id)
        lacks = []
        for study_uid in studies:
            await check_and_keep(self.database, study_uid, self.clock())
            lacks += await self.database.read(read_findings, study_uid)
        told = await self.overview(replace(found, finished_ms=self.clock()))
        if ended:
            counts = {name: str(told["counts"][name]) for name in ("stored", "there", "refused", "waiting")}
            detail = {"import": found.import_id, "reconciled": "yes" if found.patient_id else "no", **counts}
            await self.audit.record(self._event(importer, "", told["counts"]["stored"], detail))
        told["lacks"] = [{"lack": str(one.lack), "count": one.count, "series": one.series} for one in lacks]
        return told

    async def give_up(self, found: Import) -> None:
        """Forget an import; what was taken in stays."""
        await self.database.write_batch(record.clear_import, found.import_id, self.clock())
        await asyncio.to_thread(self.parts.remove_import, found.import_id)

    async def tidy(self) -> None:
        """Clear what has expired, and parts that belong to no import that is open."""
        for import_id in await self.database.read(record.expired_imports, self.clock()):
            await self.database.write_batch(record.clear_import, import_id, self.clock())
        found = await asyncio.to_thread(self.parts.import_ids)  # before those that are open: none is begun in between
        living = await self.database.read(record.living_imports)
        for import_id in set(found) - living:
            await asyncio.to_thread(self.parts.remove_import, import_id)

    async def _missing(self, found: Import) -> Sequence[DirectoryEntry]:
        """What DICOMDIRs name and the list has not; worked out when either has changed, not for everyone who looks."""
        version = await self.database.read(record.listing_version, found.import_id)
        kept = self._missing_kept.get(found.import_id)
        if kept is None or kept[0] != version:
            files = await self.database.read(record.files_of, found.import_id)
            missing = await asyncio.to_thread(missing_of, self.parts, found.import_id, files)
            kept = self._missing_kept[found.import_id] = (version, missing)
            if len(self._missing_kept) > MAXIMUM_MISSING_KEPT:
                self._missing_kept.popitem(last=False)
        return kept[1]

    async def _check_digest(self, found: Import, file: FileRow, piece: Piece, *, whole: bool) -> None:
        if whole:
            sha256 = (await asyncio.to_thread(hashlib.sha256, piece.data)).hexdigest()
        else:
            sha256 = await asyncio.to_thread(self.parts.sha256, found.import_id, file.number)
        if sha256 != piece.sha256:
            await asyncio.to_thread(self.parts.remove, found.import_id, file.number)
            raise WrongDigestError("The file did not arrive as it was sent; send it again.")

    async def _take(self, importer: Importer, found: Import, file: FileRow, blocks: Iterator[bytes]) -> Result:
        beginning = await asyncio.to_thread(next, blocks, b"")
        rest = chain((beginning,), blocks)
        if file.kind == Kind.DIRECTORY:
            return await asyncio.to_thread(self._take_directory, found, file, rest)
        head = await asyncio.to_thread(read_head, beginning[:HEAD_BYTES])
        if head is None or not await self.database.keyed(record.is_chosen, found.import_id, head):
            return Result(State.REFUSED, "not-chosen", "The file is not of the patient and studies that were chosen.")
        if importer.is_owner and await self.database.read(is_anothers, head.study_uid, importer.label):
            return await self._take_known(importer, rest)
        coercion = self._coercion(found.patient_id) if found.patient_id else None
        try:
            new = await take_file(self.ingest, Kind(file.kind), rest, Way(importer.label, coercion))
        except (StorageFullError, BusyError, StoreError):
            raise
        except LightboxError as error:
            return Result(State.REFUSED, "unreadable", error.message)
        # Looked at once more in the transaction that adds it: the study may come another way at this moment.
        return await self._index(importer, head, replace(new, exclusive=importer.is_owner))

    async def _index(self, importer: Importer, head: Head, new: NewInstance) -> Result:
        if new.parsed.study_uid != head.study_uid:
            await self.ingest.remove_unnamed(new.digest)
            return Result(State.REFUSED, "not-chosen", "The file says two different things about its study.")
        outcome = (await self.ingest.index([new]))[0]
        if isinstance(outcome, RefusedInstanceError):
            codes = {DUPLICATE_INSTANCE: "other-bytes", NOT_AUTHORIZED: "foreign-study"}
            code = codes.get(outcome.failure_reason, "unreadable")
            return Result(State.REFUSED, code, outcome.message)
        await self.audit.read(self._event(importer, new.parsed.study_uid, 1, {}))
        if importer.is_owner and new.parsed.study_uid not in importer.study_uids:
            await self.database.write(_attach_own, importer, new.parsed.study_uid, self.clock())
            self.forget()
        role = Role.OTHER
        if is_report(new.parsed.sop_class_uid):
            role = Role.REPORT
        elif new.parsed.pixels is not None:
            role = Role.IMAGE
        return Result(State.THERE if outcome.already_there else State.STORED, role=role)

    async def _take_known(self, importer: Importer, blocks: Iterator[bytes]) -> Result:
        """A file of a study that came another way: nothing is added, whatever it is."""
        sha256 = await asyncio.to_thread(_sha256, blocks)
        if await self.database.read(preview.has_bytes, importer.study_uids, sha256):
            return Result(State.THERE)
        return Result(State.REFUSED, "foreign-study", ANOTHERS)

    def _take_directory(self, found: Import, file: FileRow, blocks: Iterator[bytes]) -> Result:
        data = b"".join(blocks)
        if len(data) <= DIRECTORY_BYTES and self.parts.keep_directory(found.import_id, file.number, data):
            return Result(State.READ)
        message = "The DICOMDIR cannot be read; the files were looked for without it."
        return Result(State.REFUSED, "dicomdir", message)

    def _coercion(self, patient_id: str) -> Coercion:
        own = self.ingest.limits.coercion
        return replace(own, changes={ISSUER_OF_PATIENT_ID: "", **own.changes, PATIENT_ID: patient_id})

    def _event(self, importer: Importer, study_uid: str, count: int, detail: dict[str, str]) -> Event:
        share_id = importer.subject if importer.is_owner else ""
        return Event(
            Action.IMPORT,
            importer.kind,
            importer.label,
            share_id=share_id,
            study_uid=study_uid,
            address=importer.address,
            count=count,
            detail=detail,
        )


async def keep_tidy(imports: Imports) -> None:
    """Clear expired imports now and then, for as long as the server runs."""
    while True:
        await imports.tidy()
        await asyncio.sleep(TIDY_EVERY_S)


def _attach_own(connection: Connection, importer: Importer, study_uid: str, now_ms: int) -> None:
    """A study that came by an owner link, all of it, is that owner's to see."""
    if preview.is_attached(connection, importer.subject, study_uid):
        return
    if preview.is_all_of(connection, study_uid, importer.label):
        attach(connection, importer.subject, [StudyUID(study_uid)], importer.label, now_ms)


def _sha256(blocks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()
