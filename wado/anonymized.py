"""`anonymize=yes` of WADO-URI (PS3.18 §9.1.2.1): the instance as a de-identified file, under a UID of its own.

Basic Profile and Clean Pixel are asked for. Pixels are not cleaned here, so an image that may have a name written into
it is refused rather than given away. The same instance gets the same new UIDs each time.
"""

import asyncio

import orjson
from aiohttp import web

from archive.dicom.burned_in import Exclusion, exclusion_of
from archive.dicom.deidentification import deidentify
from archive.dicom.part10 import EXPLICIT_LE
from archive.dicom.pseudonyms import Pseudonyms
from archive.errors import ForbiddenError, NotAcceptableError, RefusedInstanceError, UnprocessableError
from archive.identifiers import parse_uid
from archive.instances import FrameLayout, Instance
from archive.resources import STORE
from archive.scope import Scope
from auth.access import ACCESS
from wado.blobs import contents
from wado.finding import require_metadata
from wado.offers import DICOM

PURPOSE = "anonymize"
WHY_REFUSED = {
    Exclusion.BURNED_IN: "A name may be written into the pixels of this image; it is not given away as anonymous.",
    Exclusion.DOCUMENT: "The text of a report or document may name the patient; it is not given away as anonymous.",
    Exclusion.UNCLEAR: "Nobody can tell what is in this object; it is not given away as anonymous.",
}


async def send_anonymized(request: web.Request, scope: Scope, instance: Instance) -> web.StreamResponse:
    """Send the file. Raises ForbiddenError where it cannot be cleaned, NotAcceptableError for another syntax."""
    exclusion = exclusion_of(orjson.loads(await require_metadata(request, scope, instance)))
    if exclusion is not None:
        raise ForbiddenError(WHY_REFUSED[exclusion], parameter="anonymize")
    compressed = instance.frames.layout in (FrameLayout.FRAGMENTS, FrameLayout.WHOLE)
    syntax = instance.transfer_syntax_uid if compressed else EXPLICIT_LE
    asked = request.query.get("transferSyntax", syntax)
    if parse_uid(asked, "transferSyntax") != syntax:
        raise NotAcceptableError((f"{DICOM}; transfer-syntax={syntax}",))
    pseudonyms = Pseudonyms(request.app[ACCESS].vault.digest("", PURPOSE))
    response = web.StreamResponse(headers={"Content-Type": DICOM})
    async with contents(request.app[STORE], instance.digest) as data:
        try:
            plan = await asyncio.to_thread(deidentify, data, pseudonyms)
        except RefusedInstanceError as error:
            raise UnprocessableError(error.message) from error
        response.content_length = plan.length_bytes
        await response.prepare(request)
        blocks = plan.blocks()
        while request.method != "HEAD" and (block := await asyncio.to_thread(next, blocks, b"")):
            await response.write(block)
    await response.write_eof()
    return response
