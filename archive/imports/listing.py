"""What a file is, by its name and beginning, before it is sent; and the DICOMDIR held against the list."""

from collections.abc import Sequence
from dataclasses import dataclass

from archive.imports.parts import Parts
from archive.imports.record import FileRow, ListedFile, Role, State
from archive.index.texts import is_report
from archive.media.directory import DirectoryEntry, missing_entries
from archive.media.heads import HEAD_BYTES, read_head
from archive.media.kinds import REASONS, Kind, kind_of

DIRECTORY_BYTES = 16 << 20
PROBLEMS = {
    "encrypted-zip": "The file is encrypted with a password.",
    "packed": REASONS[Kind.PACKED],
    "damaged-zip": "The file is damaged inside the ZIP file.",
    "zip-bomb": "The file unpacks to many times its size, or is too large: a ZIP bomb?",
    "unreadable": "The file cannot be read.",
}
"""What a browser may say is wrong with a file that it cannot even begin to read."""


@dataclass(frozen=True, slots=True)
class ListedName:
    """A file as the browser names it: `head` is its beginning, `problem` a key of PROBLEMS or ""."""

    path: str
    length_bytes: int
    head: bytes
    problem: str = ""


def missing_of(parts: Parts, import_id: str, files: Sequence[FileRow]) -> list[DirectoryEntry]:
    """What the DICOMDIRs of an import name and its list has not."""
    names = [file.path for file in files]
    missing: list[DirectoryEntry] = []
    for file in files:
        if file.kind == Kind.DIRECTORY and file.state is State.READ:
            missing += missing_entries(file.path, parts.directory(import_id, file.number), names)
    return missing


def classify(name: ListedName, limit_bytes: int) -> ListedFile | None:
    """The file as it is to be listed; None when more of its beginning is needed to tell."""

    def refused(kind: Kind, code: str, message: str) -> ListedFile:
        return ListedFile(name.path, name.length_bytes, kind, State.REFUSED, code=code, message=message)

    if name.problem:
        return refused(Kind.UNKNOWN, name.problem, PROBLEMS[name.problem])
    kind = kind_of(name.path, name.head)
    if kind in REASONS:
        return refused(kind, str(kind), REASONS[kind])
    if kind is Kind.BESIDE:
        return ListedFile(name.path, name.length_bytes, kind, State.SKIPPED)
    if kind is Kind.DIRECTORY:
        if name.length_bytes > DIRECTORY_BYTES:
            return refused(kind, "dicomdir", "The DICOMDIR is too large; the files were looked for without it.")
        return ListedFile(name.path, name.length_bytes, kind, State.WAITING)
    if name.length_bytes > limit_bytes:
        return refused(kind, "too-large", f"One instance may have at most {limit_bytes} bytes.")
    head = read_head(name.head)
    if head is None:
        if len(name.head) < min(name.length_bytes, HEAD_BYTES):
            return None
        return refused(kind, "undecided", "The file does not tell its study and series; it is damaged or cut short.")
    role = Role.REPORT if is_report(head.sop_class_uid) else Role.IMAGE
    return ListedFile(name.path, name.length_bytes, kind, State.WAITING, role, head=head)
