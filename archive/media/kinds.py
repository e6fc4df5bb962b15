"""What a file of a disc is, by its first bytes; its name is asked only about what is no DICOM. Pure."""

from enum import StrEnum
from pathlib import PurePosixPath

from archive.dicom.part10 import PREAMBLE_BYTES, read_file_meta
from archive.errors import RefusedInstanceError

HEAD_BYTES = 4096
"""As much of a file as `kind_of` looks at."""
MARK = b"DICM"
MEDIA_STORAGE_DIRECTORY = b"1.2.840.10008.1.3.10"
ENVELOPED_DATA = bytes.fromhex("06092a864886f70d010703")
"""The object identifier that a Secure DICOM File begins with (PS3.10 §7.4: CMS enveloped data)."""
_PACKED = (b"PK\x03\x04", b"PK\x05\x06", b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b", b"MSCF")
_BESIDE_BY_START = (b"MZ", b"\x7fELF", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe", b"#!", b"\xff\xd8\xff", b"\x89PNG\r\n",
                    b"GIF8", b"BM", b"\0\0\1\0", b"<!doctype", b"<html", b"<?xml", b"[autorun]")  # fmt: skip
_BESIDE_BY_SUFFIX = frozenset((
    "exe", "dll", "ocx", "msi", "bat", "cmd", "com", "sh", "app", "jar", "class", "so", "dylib", "sys", "cab", "bin",
    "inf", "ini", "cfg", "conf", "config", "manifest", "properties", "dat", "db", "log", "lnk", "url", "plist",
    "htm", "html", "xhtml", "css", "js", "json", "xml", "xsl", "xslt", "dtd", "chm", "hlp", "swf",
    "jpg", "jpeg", "png", "gif", "bmp", "ico", "icns", "svg", "cur", "tif", "tiff", "txt", "md", "rtf", "ttf", "woff",
))  # fmt: skip
_BESIDE_BY_NAME = frozenset(("thumbs.db", ".ds_store", "desktop.ini", "autorun.inf", "readme", "license", "lockfile"))


class Kind(StrEnum):
    """DICOM: a Part 10 file. BARE: looks like a dataset without its head. BESIDE: the disc's own viewer, web pages,
    pictures and system files, which are skipped and counted. The others cannot be taken; `REASONS` says why."""

    DICOM = "dicom"
    BARE = "bare"
    DIRECTORY = "directory"
    BESIDE = "beside"
    EMPTY = "empty"
    ENCRYPTED = "encrypted"
    PACKED = "packed"
    DOCUMENT = "document"
    UNKNOWN = "unknown"


REASONS = {
    Kind.EMPTY: "The file is empty.",
    Kind.ENCRYPTED: "The file is encrypted (PS3.10 Secure DICOM File); ask whoever made the disc for one that is not.",
    Kind.PACKED: "A packed archive inside is not opened; unpack it and import what was in it.",
    Kind.DOCUMENT: "This is a plain PDF file, not DICOM; it may be a report, and was not taken.",
    Kind.UNKNOWN: "This is not a DICOM file.",
}


def kind_of(name: str, head: bytes) -> Kind:
    """The kind of the file with this name and these first bytes, `HEAD_BYTES` of them or all that there are."""
    if not head:
        return Kind.EMPTY
    if head[PREAMBLE_BYTES : PREAMBLE_BYTES + len(MARK)] == MARK:
        return Kind.DIRECTORY if MEDIA_STORAGE_DIRECTORY in head[: PREAMBLE_BYTES + 512] else Kind.DICOM
    if head[:1] == b"\x30" and ENVELOPED_DATA in head[:32]:
        return Kind.ENCRYPTED
    if _is_beside(name, head):
        return Kind.BESIDE
    if head.startswith(_PACKED):
        return Kind.PACKED
    if head.startswith(b"%PDF"):
        return Kind.DOCUMENT
    return Kind.BARE if _may_be_bare(head) else Kind.UNKNOWN


def _is_beside(name: str, head: bytes) -> bool:
    path = PurePosixPath(name.lower())
    if path.name in _BESIDE_BY_NAME or path.suffix.removeprefix(".") in _BESIDE_BY_SUFFIX:
        return not _may_be_bare(head)
    return (
        head[:64].lstrip(b"\xef\xbb\xbf \r\n\t").lower().startswith(tuple(start.lower() for start in _BESIDE_BY_START))
    )


def _may_be_bare(head: bytes) -> bool:
    try:
        read_file_meta(head, allow_missing_preamble=True)
    except RefusedInstanceError:
        return False
    return True
