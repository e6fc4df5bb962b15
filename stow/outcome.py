"""What became of each part, and the status that follows (PS3.18 Table 10.5.3-1, PS3.4 Table B.2-1). Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType

from archive.errors import (
    BusyError,
    PayloadTooLargeError,
    RefusedInstanceError,
    StorageFullError,
    StoreUnreachableError,
)
from archive.instances import StoredInstance

PROCESSING_FAILURE = 0x0110
DUPLICATE_SOP_INSTANCE = 0x0111
SOP_CLASS_NOT_SUPPORTED = 0x0122
OUT_OF_RESOURCES = 0xA700
UNREACHABLE_RETRY_S = 10
"""A database or a bucket that does not answer is worth asking again after so long."""
DOES_NOT_MATCH = 0xA900
MISSING_BULK_DATA = 0xA922
CANNOT_UNDERSTAND = 0xC000
TRANSFER_SYNTAX_NOT_SUPPORTED = 0xC122

FAILURE_REASONS: Mapping[int, str] = MappingProxyType(
    {
        PROCESSING_FAILURE: "Processing failure",
        DUPLICATE_SOP_INSTANCE: "Duplicate SOP Instance: other bytes are stored under this SOP Instance UID",
        SOP_CLASS_NOT_SUPPORTED: "Referenced SOP Class not supported",
        OUT_OF_RESOURCES: "Refused: out of resources",
        DOES_NOT_MATCH: "Error: data set does not match; the Study Instance UID is another one",
        MISSING_BULK_DATA: "Error: data set does not match; bulk data is missing",
        CANNOT_UNDERSTAND: "Error: cannot understand",
        TRANSFER_SYNTAX_NOT_SUPPORTED: "Referenced Transfer Syntax not supported",
    }
)
"""Values of (0008,1197) Failure Reason that are given here, in any of their classes."""

COERCED = 0xB000
DATA_SET_MISMATCH = 0xB007
ELEMENTS_DISCARDED = 0xB006
WARNING_REASONS: Mapping[int, str] = MappingProxyType(
    {
        COERCED: "Coercion of data elements",
        ELEMENTS_DISCARDED: "Elements discarded",
        DATA_SET_MISMATCH: "Data set does not match SOP Class",
    }
)
"""Values of (0008,1196) Warning Reason."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One part that was not stored. The UIDs are empty where the part did not get as far as to tell them.

    `limit_bytes` is the limit that was passed, where that is the reason; `retry_after_s` is when to try again, where it
    may well be stored then.
    """

    position: int
    reason: int
    message: str
    sop_class_uid: str = ""
    instance_uid: str = ""
    limit_bytes: int | None = None
    retry_after_s: int | None = None

    @classmethod
    def of(cls, position: int, error: Exception) -> "Failure":
        match error:
            case RefusedInstanceError():
                return cls(position, error.failure_reason, error.message, error.sop_class_uid, error.instance_uid)
            case PayloadTooLargeError():
                return cls(position, OUT_OF_RESOURCES, error.message, limit_bytes=error.limit_bytes)
            case BusyError():
                return cls(position, OUT_OF_RESOURCES, error.message, retry_after_s=error.retry_after_s)
            case StoreUnreachableError():
                return cls(position, OUT_OF_RESOURCES, error.message, retry_after_s=UNREACHABLE_RETRY_S)
            case StorageFullError():
                return cls(position, OUT_OF_RESOURCES, error.message)
            case _:
                return cls(position, PROCESSING_FAILURE, "The instance could not be processed.")

    @property
    def is_syntax(self) -> bool:
        """Whether the part could not be understood, rather than taken: the classes 0xC0.. to 0xCF.. but for 0xC122."""
        return self.reason >> 12 == 0xC and self.reason != TRANSFER_SYNTAX_NOT_SUPPORTED

    @property
    def is_shortage(self) -> bool:
        return self.reason >> 8 == OUT_OF_RESOURCES >> 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """All parts of one request, each in one of the two lists, in the order of the request."""

    stored: tuple[StoredInstance, ...] = ()
    failed: tuple[Failure, ...] = ()

    @property
    def status(self) -> HTTPStatus:
        """The status of the answer: 200 only when all is stored as it was sent, no 4xx when anything was."""
        if self.stored:
            complete = not self.failed and all(instance.warning_reason is None for instance in self.stored)
            return HTTPStatus.OK if complete else HTTPStatus.ACCEPTED
        return _status_of_failures(self.failed)


def _status_of_failures(failed: Sequence[Failure]) -> HTTPStatus:
    if all(failure.is_syntax for failure in failed):
        return HTTPStatus.BAD_REQUEST
    if all(failure.limit_bytes is not None for failure in failed):
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    if all(failure.retry_after_s is not None for failure in failed):
        return HTTPStatus.SERVICE_UNAVAILABLE
    if all(failure.is_shortage for failure in failed):
        return HTTPStatus.INSUFFICIENT_STORAGE
    return HTTPStatus.CONFLICT
