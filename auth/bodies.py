"""Bodies of the JSON API: small, typed, refused in plain words."""

import asyncio
import json
from typing import Any

from aiohttp import web

from archive.errors import BadRequestError, PayloadTooLargeError, UnsupportedMediaTypeError

MAXIMUM_BODY_BYTES = 16_384
BODY_TIMEOUT_S = 30.0
"""Small bodies have this long to come."""


class Body:
    """A JSON object, read field by field; each reading names the field when it is not what it should be."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    def text(self, name: str, default: str | None = None) -> str:
        value = self._fields.get(name, default)
        if not isinstance(value, str):
            raise BadRequestError(f"{name} is a text.", parameter=name)
        return value

    def texts(self, name: str) -> list[str]:
        value = self._fields.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise BadRequestError(f"{name} is a list of texts.", parameter=name)
        return value

    def number(self, name: str, default: int | None = None) -> int | None:
        value = self._fields.get(name, default)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise BadRequestError(f"{name} is a whole number.", parameter=name)
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self._fields.get(name, default)
        if not isinstance(value, bool):
            raise BadRequestError(f"{name} is true or false.", parameter=name)
        return value

    def document(self, name: str) -> dict[str, Any]:
        value = self._fields.get(name)
        if not isinstance(value, dict):
            raise BadRequestError(f"{name} is an object.", parameter=name)
        return value

    def documents(self, name: str) -> "list[Body]":
        value = self._fields.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise BadRequestError(f"{name} is a list of objects.", parameter=name)
        return [Body(item) for item in value]


async def read_body(request: web.Request, limit_bytes: int = MAXIMUM_BODY_BYTES) -> Body:
    """Read the request's JSON object.

    The media type has to be JSON: a form on another site cannot send that without being asked first.
    """
    if request.content_type != "application/json":
        raise UnsupportedMediaTypeError("The body is application/json.", parameter="Content-Type")
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.content.iter_chunked(65_536):
                data += chunk
                if len(data) > limit_bytes:
                    raise PayloadTooLargeError("The body is too large.", limit_bytes=limit_bytes)
    except TimeoutError:
        raise BadRequestError("The body came too slowly.") from None
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        raise BadRequestError("The body is not JSON.") from None
    if not isinstance(fields, dict):
        raise BadRequestError("The body is a JSON object.")
    return Body(fields)
