"""The error tree. Each class has the HTTP status it becomes and a stable code.

LightboxError
├── BadRequestError 400        the request is malformed; names the parameter
├── UnauthorizedError 401      nobody is known to ask
├── ForbiddenError 403         somebody is known, and may not
├── NotFoundError 404          not there, or not in scope: one answer for both
├── NotAcceptableError 406     none of the accepted representations exists
├── ConflictError 409
├── GoneError 410              was there, and was ended: says why
├── PayloadTooLargeError 413   names the limit
├── SearchTooBroadError 413    the search takes too long; a narrower one may do
├── UnsupportedMediaTypeError 415
├── RangeNotSatisfiableError 416
├── UnprocessableError 422     stored, but cannot be decoded or drawn
├── TooManyRequestsError 429   says when to try again
├── UnsupportedServiceError 501
├── BusyError 503              says when to try again
├── StorageFullError 507
├── StoreError 500             a blob is missing or is not what it was
└── RefusedInstanceError       one instance not stored; carries PS3.4's failure reason
BrokenStreamError              after the first byte: the connection is closed
"""

from typing import ClassVar


class LightboxError(Exception):
    """Base of every error that may be told to a client.

    `message` is for people and never holds patient data, paths or foreign UIDs.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal-error"

    def __init__(self, message: str, *, parameter: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.parameter = parameter


class BadRequestError(LightboxError):
    status = 400
    code = "bad-request"


class UnauthorizedError(LightboxError):
    status = 401
    code = "unauthorized"


class ForbiddenError(LightboxError):
    status = 403
    code = "forbidden"


class NotFoundError(LightboxError):
    status = 404
    code = "not-found"

    def __init__(self, message: str = "There is no such resource.", *, parameter: str | None = None) -> None:
        super().__init__(message, parameter=parameter)


class NotAcceptableError(LightboxError):
    """No acceptable representation; `available` lists the media types that could be sent."""

    status = 406
    code = "not-acceptable"

    def __init__(self, available: tuple[str, ...] = ()) -> None:
        super().__init__("None of the media types in Accept can be given for this resource.", parameter="Accept")
        self.available = available


class ConflictError(LightboxError):
    status = 409
    code = "conflict"


class GoneError(LightboxError):
    status = 410
    code = "gone"


class PayloadTooLargeError(LightboxError):
    status = 413
    code = "payload-too-large"

    def __init__(self, message: str, *, limit_bytes: int) -> None:
        super().__init__(message)
        self.limit_bytes = limit_bytes


class SearchTooBroadError(LightboxError):
    """PS3.18 §10.6.3: the answer to a query that is too broad."""

    status = 413
    code = "search-too-broad"


class UnsupportedMediaTypeError(LightboxError):
    status = 415
    code = "unsupported-media-type"


class RangeNotSatisfiableError(LightboxError):
    """`length_bytes` is the length of the whole representation, for Content-Range."""

    status = 416
    code = "range-not-satisfiable"

    def __init__(self, length_bytes: int) -> None:
        super().__init__("The range lies outside this resource.", parameter="Range")
        self.length_bytes = length_bytes


class UnprocessableError(LightboxError):
    status = 422
    code = "unprocessable"


class TooManyRequestsError(LightboxError):
    status = 429
    code = "too-many-requests"

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UnsupportedServiceError(LightboxError):
    status = 501
    code = "unsupported-service"


class BusyError(LightboxError):
    status = 503
    code = "busy"

    def __init__(self, message: str, *, retry_after_s: int = 2) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StorageFullError(LightboxError):
    status = 507
    code = "storage-full"


class StoreError(LightboxError):
    """A blob that the index names is missing, or its bytes are not those that were saved."""

    code = "store-error"


class StoreUnreachableError(StoreError):
    """The store does not answer: nothing is known of the blob, and it is worth asking again."""

    status = 503
    code = "store-unreachable"


class RefusedInstanceError(LightboxError):
    """One instance was not stored.

    `failure_reason` is the value for (0008,1197), PS3.18 Table 10.5.3-2 and PS3.4 Annex B:
    0xA700 out of resources, 0xA900 does not match, 0xC000 cannot understand, 0xC122 transfer
    syntax, 0x0110 processing failure, 0x0111 duplicate SOP instance, 0x0122 SOP class.
    The UIDs are those of the refused instance, for the response; empty where it did not tell them.
    """

    status = 409
    code = "refused-instance"

    def __init__(self, failure_reason: int, message: str, *, sop_class_uid: str = "", instance_uid: str = "") -> None:
        super().__init__(message)
        self.failure_reason = failure_reason
        self.sop_class_uid = sop_class_uid
        self.instance_uid = instance_uid


class BrokenStreamError(Exception):
    """The answer cannot be completed; the connection is closed without its end."""
