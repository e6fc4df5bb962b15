"""URL table of imports from a browser, for the desk and for patients (`…/imports`)."""

import asyncio
import base64
import binascii
import re
from dataclasses import asdict
from typing import Any

from aiohttp import web

from archive.audit import Action, Event
from archive.errors import BadRequestError, ForbiddenError, PayloadTooLargeError
from archive.imports import preview
from archive.imports.importing import PIECE_BYTES, Imports, Piece, Progress
from archive.imports.listing import PROBLEMS, ListedName
from archive.imports.record import Choice, FileRow, Import, Importer, State, files_of
from archive.media.files import MAXIMUM_NAME_LENGTH
from archive.media.heads import HEAD_BYTES
from auth.access import ACCESS, principal_of, require_staff
from auth.bodies import Body, read_body
from auth.owner_routes import require_owner
from auth.permits import may_import, permit_import
from auth.requests import parse_request_id
from auth.staff_routes import DESK

IMPORTS: web.AppKey[Imports] = web.AppKey("IMPORTS", Imports)
ROOTS = ("/api/desk/imports", "/api/o/{request_id}/imports")
FILES_AT_ONCE = 256
LIST_BYTES = 4 << 20
MAXIMUM_STUDIES = 2_000
PIECE_TIMEOUT_S = 120.0
_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")
_ONE = "{import_id:[0-9a-f]{32}}"
_FILE = f"{_ONE}/files/{{number:[0-9]{{1,8}}}}"


def routes() -> list[web.RouteDef]:
    """All URLs of imports."""
    found = [
        web.post("/api/desk/imports/patient", post_patient),
        web.post("/api/desk/requests/{request_id}/imports", post_permit),
    ]
    for root in ROOTS:
        found += [
            web.post(root, post_import),
            web.get(f"{root}/{_ONE}", get_import),
            web.delete(f"{root}/{_ONE}", delete_import),
            web.get(f"{root}/{_ONE}/files", get_files),
            web.post(f"{root}/{_ONE}/files", post_files),
            web.post(f"{root}/{_ONE}/choice", post_choice),
            web.post(f"{root}/{_ONE}/finish", post_finish),
            web.get(f"{root}/{_FILE}", get_file),
            web.put(f"{root}/{_FILE}", put_piece),
        ]
    return found


async def post_import(request: web.Request) -> web.Response:
    """Begin an import."""
    importer, imports = await importer_of(request), request.app[IMPORTS]
    await read_body(request)
    made = await imports.begin(importer)
    return web.json_response({"id": made.import_id, "expires_ms": made.expires_ms}, status=201)


async def get_import(request: web.Request) -> web.Response:
    """The preview, and how far it is."""
    _, found = await _found(request)
    return web.json_response(await request.app[IMPORTS].overview(found))


async def delete_import(request: web.Request) -> web.Response:
    """Give an import up."""
    _, found = await _found(request)
    await request.app[IMPORTS].give_up(found)
    return web.Response(status=204)


async def get_files(request: web.Request) -> web.Response:
    """Every file that is listed, for a browser that goes on."""
    _, found = await _found(request)
    rows = await request.app[IMPORTS].database.read(files_of, found.import_id)
    return web.json_response({"files": [_file_json(row) for row in rows]})


async def post_files(request: web.Request) -> web.Response:
    """List files, each with its beginning; `more` in the answer asks for a longer one."""
    importer, found = await _found(request)
    body = await read_body(request, LIST_BYTES)
    names = [_listed(one) for one in body.documents("files")]
    if not 0 < len(names) <= FILES_AT_ONCE:
        raise BadRequestError(f"files are 1 to {FILES_AT_ONCE} at a time.", parameter="files")
    rows = await request.app[IMPORTS].add_files(importer, found, names)
    return web.json_response(
        {
            "files": [
                _file_json(row) if row is not None else {"path": name.path, "more": True}
                for name, row in zip(names, rows, strict=True)
            ]
        }
    )


async def post_choice(request: web.Request) -> web.Response:
    """Say which studies are to be sent, and under which patient ID."""
    importer, found = await _found(request)
    body = await read_body(request, LIST_BYTES)
    named = body.documents("studies")
    if len(named) > MAXIMUM_STUDIES:
        raise BadRequestError(f"studies are at most {MAXIMUM_STUDIES}.", parameter="studies")
    patient_id = body.text("patient_id", "").strip()
    if patient_id and importer.is_owner:
        raise ForbiddenError("Only the desk puts images under another patient ID.")
    if len(patient_id) > 64 or not (patient_id.isprintable() or not patient_id) or "\\" in patient_id:
        raise BadRequestError("patient_id is at most 64 printable characters, no backslash.", parameter="patient_id")
    choice = Choice(frozenset((one.text("patient"), one.text("study_uid")) for one in named), patient_id)
    same_person = body.flag("same_person")
    length_bytes = await request.app[IMPORTS].choose(importer, found, choice, same_person=same_person)
    return web.json_response({"waiting_bytes": length_bytes})


async def get_file(request: web.Request) -> web.Response:
    """Where a file stands."""
    _, found = await _found(request)
    return _progress_response(await request.app[IMPORTS].progress(found, int(request.match_info["number"])))


async def put_piece(request: web.Request) -> web.Response:
    """A piece of a file: `offset` says where it begins, Repr-Digest (RFC 9530) what the whole file is."""
    importer, found = await _found(request)
    imports = request.app[IMPORTS]
    offset, digest = request.query.get("offset", "0"), _DIGEST.fullmatch(request.headers.get("Repr-Digest", ""))
    if not offset.isascii() or not offset.isdigit() or len(offset) > 15:
        raise BadRequestError("offset is a whole number.", parameter="offset")
    if digest is None:
        raise BadRequestError("Repr-Digest is sha-256=:…: of the whole file.", parameter="Repr-Digest")
    async with imports.slot(importer):
        piece = Piece(int(offset), await _read_piece(request), base64.b64decode(digest[1]).hex())
        return _progress_response(await imports.take_piece(importer, found, int(request.match_info["number"]), piece))


async def post_finish(request: web.Request) -> web.Response:
    """Everything was sent: say what became of it."""
    importer, found = await _found(request)
    await read_body(request)
    return web.json_response(await request.app[IMPORTS].finish(importer, found))


async def post_patient(request: web.Request) -> web.Response:
    """Who has a patient ID here, for the desk to compare."""
    importer, imports = await importer_of(request), request.app[IMPORTS]
    patient_id = (await read_body(request)).text("patient_id").strip()
    found = await imports.database.read(preview.find_locals, patient_id)
    await imports.audit.read(Event(Action.SEARCH, importer.kind, importer.label, address=importer.address))
    return web.json_response({"patients": [asdict(one) for one in found]})


async def post_permit(request: web.Request) -> web.Response:
    """Let a patient import discs by the own link, or no longer."""
    principal, access = require_staff(request, *DESK), request.app[ACCESS]
    request_id = parse_request_id(request.match_info["request_id"])
    allowed = (await read_body(request)).flag("allowed")
    await access.database.write(permit_import, request_id, principal.label, access.clock(), allowed=allowed)
    return web.Response(status=204)


async def importer_of(request: web.Request) -> Importer:
    """Whoever imports: the desk, or the owner whose link allows it. Raises UnauthorizedError, ForbiddenError."""
    access = request.app[ACCESS]
    address = access.address_of(request)
    if "request_id" not in request.match_info:
        principal = require_staff(request, *DESK)
        return Importer("staff", principal.subject, principal.label, address=address)
    owned, principal = await require_owner(request), principal_of(request)
    if not await access.database.keyed(may_import, owned.request_id):
        raise ForbiddenError("This link does not allow sending images; ask the desk to import your disc.")
    return Importer(
        "owner",
        owned.request_id,
        principal.label,
        request.app[IMPORTS].owner_quota,
        frozenset(owned.study_uids),
        address,
    )


async def _found(request: web.Request) -> tuple[Importer, Import]:
    importer = await importer_of(request)
    return importer, await request.app[IMPORTS].find(importer, request.match_info["import_id"])


async def _read_piece(request: web.Request) -> bytes:
    data = bytearray()
    try:
        async with asyncio.timeout(PIECE_TIMEOUT_S):
            async for chunk in request.content.iter_chunked(1 << 18):
                data += chunk
                if len(data) > PIECE_BYTES:
                    message = f"A piece of a file has at most {PIECE_BYTES} bytes."
                    raise PayloadTooLargeError(message, limit_bytes=PIECE_BYTES)
    except TimeoutError:
        raise BadRequestError("The piece came too slowly.") from None
    return bytes(data)


def _listed(body: Body) -> ListedName:
    path, size, problem = body.text("path"), body.number("size"), body.text("problem", "")
    if not path or len(path) > MAXIMUM_NAME_LENGTH or "\0" in path:
        raise BadRequestError(f"path is 1 to {MAXIMUM_NAME_LENGTH} characters.", parameter="path")
    if size is None or not 0 <= size < 1 << 53:
        raise BadRequestError("size is the file's length in bytes.", parameter="size")
    if problem and problem not in PROBLEMS:
        raise BadRequestError(f"problem is one of {', '.join(PROBLEMS)}.", parameter="problem")
    try:
        head = base64.b64decode(body.text("head", ""), validate=True)
    except (binascii.Error, ValueError):
        raise BadRequestError("head is Base64.", parameter="head") from None
    if len(head) > min(size, HEAD_BYTES):
        raise BadRequestError(f"head is the first bytes, at most {HEAD_BYTES}.", parameter="head")
    return ListedName(path, size, head, problem)


def _file_json(row: FileRow) -> dict[str, Any]:
    told: dict[str, Any] = {
        "number": row.number,
        "path": row.path,
        "size": row.length_bytes,
        "kind": row.kind,
        "state": str(row.state),
        "chosen": bool(row.chosen),
    }
    if row.state is State.REFUSED:
        told |= {"code": row.code, "message": row.message}
    return told


def _progress_response(progress: Progress) -> web.Response:
    return web.json_response({**asdict(progress), "state": str(progress.state)})
