"""Error → status, code, message: the one place where an error becomes an answer (PS3.18 §8.5, RFC 9457).

The body is small JSON that names the parameter at fault. It holds no input, no path, no trace; the same id stands in
the log, where an unexpected error is described by its type and the lines it came through, never by its text.
"""

import json
import logging
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from secrets import token_hex

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler, Middleware

from archive.dicomweb.multipart_response import break_off
from archive.errors import (
    BrokenStreamError,
    BusyError,
    LightboxError,
    NotAcceptableError,
    PayloadTooLargeError,
    RangeNotSatisfiableError,
    TooManyRequestsError,
    UnauthorizedError,
)

Presenter = Callable[[web.Request, "Problem"], web.StreamResponse | None]

REQUEST_ID = web.RequestKey("request_id", str)
"""Stands in the answer to a failed request and in the log; set by `problems_middleware` where nobody did."""
REQUEST_ID_HEADER = "X-Request-Id"
"""Stands on every refusal, as some have bodies that the standard prescribes, without room for an id."""
_STARTED = web.RequestKey("started", bool)

logger = logging.getLogger("lightbox.problems")

_MEDIA_TYPE = "application/problem+json"
_OWN_MESSAGES: Mapping[int, str] = {
    404: "There is no such resource.",
    405: "This method is not there for this resource.",
    413: "The body is larger than this resource takes.",
    417: "Only Expect: 100-continue is understood.",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is told about a failed request; `members` are further members of the body."""

    status: int
    code: str
    message: str
    members: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, error: Exception) -> "Problem":
        """What is told about an error. An unexpected one is `internal-error` and says no more."""
        if isinstance(error, LightboxError):
            members: dict[str, object] = {}
            headers: dict[str, str] = {}
            if error.parameter is not None:
                members["parameter"] = error.parameter
            _add_particulars(error, members, headers)
            return cls(error.status, error.code, error.message, members, headers)
        if isinstance(error, web.HTTPException):
            return cls._of_aiohttp(error)
        if isinstance(error, HttpProcessingError | web.RequestPayloadError | UnicodeError):
            # aiohttp found the message malformed while its body was read, or a URI holds what is no UTF-8.
            return cls(400, "bad-request", "The request is not well-formed HTTP.")
        return cls(500, "internal-error", "Something went wrong here; the id names it in the server's log.")

    @classmethod
    def _of_aiohttp(cls, error: web.HTTPException) -> "Problem":
        status = HTTPStatus(error.status)
        message = _OWN_MESSAGES.get(error.status, f"{status.phrase}.")
        members: dict[str, object] = {}
        headers: dict[str, str] = {}
        if isinstance(error, web.HTTPMethodNotAllowed):
            allowed = ", ".join(sorted(error.allowed_methods))
            members["available"], headers[hdrs.ALLOW] = sorted(error.allowed_methods), allowed
        return cls(error.status, status.phrase.lower().replace(" ", "-"), message, members, headers)

    def to_response(self, request_id: str) -> web.Response:
        body = {"status": self.status, "code": self.code, "message": self.message, **self.members}
        body["request_id"] = request_id
        return web.Response(
            status=self.status,
            body=json.dumps(body).encode(),
            headers={hdrs.CONTENT_TYPE: _MEDIA_TYPE, hdrs.CACHE_CONTROL: "no-store", **self.headers},
        )


def _add_particulars(error: LightboxError, members: dict[str, object], headers: dict[str, str]) -> None:
    match error:
        case NotAcceptableError():
            members["available"] = list(dict.fromkeys(error.available))
        case PayloadTooLargeError():
            members["limit_bytes"] = error.limit_bytes
        case RangeNotSatisfiableError():
            headers[hdrs.CONTENT_RANGE] = f"bytes */{error.length_bytes}"
        case TooManyRequestsError() | BusyError():
            headers[hdrs.RETRY_AFTER] = str(max(1, error.retry_after_s))
        case UnauthorizedError():
            headers[hdrs.WWW_AUTHENTICATE] = 'Bearer realm="lightbox"'
        case _:
            pass


def setup_problems(app: web.Application, presenter: Presenter | None = None) -> None:
    """Make `app` answer every error by this module; its middleware becomes the outermost one.

    `presenter` may answer in another form, such as a page for people; None from it means the JSON body.
    """
    app.middlewares.insert(0, problems_middleware(presenter))
    app.on_response_prepare.append(_note_start)


async def _note_start(request: web.Request, response: web.StreamResponse) -> None:
    request[_STARTED] = True
    if response.status >= HTTPStatus.BAD_REQUEST and REQUEST_ID in request:
        response.headers[REQUEST_ID_HEADER] = request[REQUEST_ID]


def problems_middleware(presenter: Presenter | None = None) -> Middleware:
    """The middleware; `setup_problems` is the way to add it."""

    @web.middleware
    async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
        request_id = request.setdefault(REQUEST_ID, token_hex(16))
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < HTTPStatus.BAD_REQUEST:
                raise
            return _answer(request, error, presenter)
        except ConnectionError as error:
            if request.transport is None or request.transport.is_closing():
                return _nobody_is_there(request)
            return _answer(request, error, presenter)
        except BrokenStreamError as error:
            logger.error("An answer broke off.", extra={"request_id": request_id, **describe_error(error)})
            return _nobody_is_there(request)
        except Exception as error:  # noqa: BLE001 - the last door before the client: what passes it has no answer
            return _answer(request, error, presenter)

    return problems


def _answer(request: web.Request, error: Exception, presenter: Presenter | None) -> web.StreamResponse:
    problem = Problem.of(error)
    request_id = request[REQUEST_ID]
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, BusyError):
        logger.error(
            "A request failed.", extra={"request_id": request_id, "code": problem.code, **describe_error(error)}
        )
    if request.get(_STARTED):  # a second head would be written into the body
        return _nobody_is_there(request)
    response = presenter(request, problem) if presenter is not None else None
    return response if response is not None else problem.to_response(request_id)


def _nobody_is_there(request: web.Request) -> web.Response:
    """Close the connection. aiohttp finds the transport closing and sends nothing of the response it is given."""
    break_off(request)
    return web.Response(status=500)


def describe_error(error: BaseException) -> dict[str, object]:
    """The types of an error and its causes, and the innermost lines; their texts may hold what a log must not."""
    types: list[str] = []
    innermost = error
    cause: BaseException | None = error
    while cause is not None and len(types) < 5:
        types.append(type(cause).__name__)
        innermost, cause = cause, cause.__cause__ or cause.__context__
    frames = traceback.extract_tb(innermost.__traceback__)[-6:]
    lines = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
    return {"error": " < ".join(types), "lines": lines}
