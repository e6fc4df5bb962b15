"""The files of an open disc → the archive: a few at a time, each in bounded memory, refusals collected."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from archive.completeness.record import Announced
from archive.errors import LightboxError, RefusedInstanceError
from archive.imports.taking import READ_BYTES, Way, blocks, take_file
from archive.index.texts import is_report
from archive.index.writer import NewInstance
from archive.ingest import Ingest
from archive.jobs.kinds import HINDRANCES
from archive.media.directory import MAXIMUM_BYTES, DirectoryEntry, missing_entries, read_directory, unlisted_names
from archive.media.discs import Disc
from archive.media.files import MediumError, MediumFile, Readable
from archive.media.kinds import HEAD_BYTES, REASONS, Kind, kind_of

BATCH = 64


@dataclass(slots=True)
class Summary:
    """What became of the files. `missing` and `unlisted` are by the disc's DICOMDIR.

    `hindrance` is the first refusal that is no file's fault, such as a full disk.
    """

    seen: int = 0
    images: int = 0
    reports: int = 0
    others: int = 0
    new: int = 0
    already_there: int = 0
    length_bytes: int = 0
    skipped: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)
    announced: list[Announced] = field(default_factory=list)
    study_uids: set[str] = field(default_factory=set)
    hindrance: LightboxError | None = None


@dataclass(slots=True)
class _Directories:
    """The DICOMDIRs that were met, and the names of the DICOM files."""

    entries: dict[str, list[DirectoryEntry]] = field(default_factory=dict)
    dicom_names: list[str] = field(default_factory=list)


Taken = NewInstance | LightboxError | Kind


async def take_in(
    ingest: Ingest,
    disc: Disc,
    summary: Summary,
    advance: Callable[[], object],
    find_names: Callable[[], Sequence[str]] | None = None,
) -> None:
    """Import the files of a disc into `summary`; `advance` is called after each.

    `find_names` is for a part of a disc: the names of all its files, which a DICOMDIR is held against.
    """
    slots = asyncio.Semaphore(disc.files_at_once)
    directories = _Directories()

    async def finish(file: MediumFile) -> tuple[MediumFile, Taken]:
        async with slots:
            taken = await _take(ingest, file, directories)
        advance()
        return file, taken

    for start in range(0, len(disc.files), BATCH):
        finished = await asyncio.gather(*(finish(file) for file in disc.files[start : start + BATCH]))
        await _index(ingest, finished, summary)
    summary.seen += len(disc.files)
    if not directories.entries:
        return
    names = [file.name for file in disc.files] if find_names is None else await asyncio.to_thread(find_names)
    for name, entries in directories.entries.items():
        missing = missing_entries(name, entries, names)
        summary.missing += [entry.name for entry in missing]
        uids = [(entry.study_uid, entry.series_uid, entry.instance_uid) for entry in missing]
        summary.announced += [one for one in uids if all(one)]
        summary.unlisted += unlisted_names(name, entries, directories.dicom_names)


async def _index(ingest: Ingest, finished: Sequence[tuple[MediumFile, Taken]], summary: Summary) -> None:
    for file, taken in finished:
        if isinstance(taken, LightboxError):
            summary.refused.append((file.name, taken.message))
            if isinstance(taken, HINDRANCES) and summary.hindrance is None:
                summary.hindrance = taken
        elif taken is Kind.BESIDE:
            summary.skipped += 1
    ready = [(file, taken) for file, taken in finished if isinstance(taken, NewInstance)]
    outcomes = await ingest.index([new for _, new in ready])
    for (file, new), outcome in zip(ready, outcomes, strict=True):
        if isinstance(outcome, RefusedInstanceError):
            summary.refused.append((file.name, outcome.message))
            continue
        summary.study_uids.add(new.parsed.study_uid)
        summary.images += new.parsed.pixels is not None
        summary.reports += is_report(new.parsed.sop_class_uid)
        summary.others += new.parsed.pixels is None and not is_report(new.parsed.sop_class_uid)
        summary.already_there += outcome.already_there
        summary.new += not outcome.already_there
        summary.length_bytes += 0 if outcome.already_there else new.length_bytes


async def _take(ingest: Ingest, file: MediumFile, directories: _Directories) -> Taken:
    if file.problem:
        return LightboxError(file.problem)
    try:
        with file.open() as stream:
            head = await asyncio.to_thread(_read_head, stream)
            kind = kind_of(file.name, head)
            if kind in REASONS:
                return LightboxError(REASONS[kind])
            if kind is Kind.DIRECTORY:
                return await asyncio.to_thread(_take_directory, file, head, stream, directories)
            if kind is Kind.BESIDE:
                return kind
            directories.dicom_names.append(file.name)
            return await take_file(ingest, kind, blocks(head, stream), Way("import"))
    except OSError as error:
        return LightboxError(f"The file cannot be read: {error.strerror}.")
    except MediumError as error:
        return LightboxError(str(error))
    except LightboxError as error:
        return error


def _read_head(stream: Readable) -> bytes:
    head = b""
    while len(head) < HEAD_BYTES and (more := stream.read(HEAD_BYTES - len(head))):
        head += more
    return head


def _take_directory(file: MediumFile, head: bytes, stream: Readable, directories: _Directories) -> Taken:
    data = bytearray(head)
    while len(data) <= MAXIMUM_BYTES and (chunk := stream.read(READ_BYTES)):
        data += chunk
    entries = read_directory(bytes(data)) if len(data) <= MAXIMUM_BYTES else None
    if entries is None:
        return LightboxError("The DICOMDIR cannot be read; the files were looked for without it.")
    directories.entries[file.name] = entries
    return Kind.DIRECTORY
