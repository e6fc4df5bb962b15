"""Metadata (PS3.18 §10.4.1.1.4): the DICOM JSON that was made when the instance was stored."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import replace

import orjson
from aiohttp import hdrs, web

from archive.database.engine import Connection
from archive.dicom.xml_model import to_xml
from archive.dicomweb.content_coding import CODINGS, IDENTITY, choose_coding, compress
from archive.dicomweb.media_types import Offer
from archive.dicomweb.multipart_response import Envelope
from archive.dicomweb.payload import JSON, XML, Answer, root_of, send_answer, xml_response
from archive.dicomweb.targets import InstanceTarget, PublicRoot, SeriesTarget, StudyTarget
from archive.index.known import Prepared
from archive.index.reader import MetadataDocument, find_metadata
from archive.resources import DATABASE, KNOWN
from archive.scope import Scope
from auth.access import scope_of
from wado.finding import missing, negotiation_of

OFFERS = (Offer(JSON), Offer(XML, multipart=True))
URI_KEY = b'"BulkDataURI":"'
"""How the walker writes the member; a quote inside a value is escaped, so this stands nowhere else."""


async def retrieve_study_metadata(request: web.Request) -> web.StreamResponse:
    return await _retrieve(request, StudyTarget.parse(request.match_info))


async def retrieve_series_metadata(request: web.Request) -> web.StreamResponse:
    return await _retrieve(request, SeriesTarget.parse(request.match_info))


async def retrieve_instance_metadata(request: web.Request) -> web.StreamResponse:
    return await _retrieve(request, InstanceTarget.parse(request.match_info))


async def _retrieve(request: web.Request, target: StudyTarget | SeriesTarget | InstanceTarget) -> web.StreamResponse:
    """Send the metadata of what the target names; BulkDataURIs begin with the root that the request came by."""
    scope = scope_of(request)
    series_uid = None if isinstance(target, StudyTarget) else target.series_uid
    instance_uid = target.instance_uid if isinstance(target, InstanceTarget) else None
    offer = negotiation_of(request).choose(OFFERS)
    root = root_of(request)
    if isinstance(target, SeriesTarget) and not isinstance(target, InstanceTarget) and offer.media_type == JSON:
        return await _send_series(request, scope, target, root)
    documents = await request.app[DATABASE].read(
        lambda connection: find_metadata(scope, connection, target.study_uid, series_uid, instance_uid)
    )
    if not documents:
        raise await missing(request, scope, target)
    if offer.media_type == XML:
        return xml_response(await asyncio.to_thread(_as_xml, documents, root), Envelope(XML))
    return await send_answer(request, Answer(joined(documents, root), etag=_tag(documents, root)))


async def _send_series(
    request: web.Request, scope: Scope, target: SeriesTarget, root: PublicRoot
) -> web.StreamResponse:
    """Send the document of a series, made once for each version of the series, root and coding."""
    known = request.app[KNOWN]
    version = await known.series_version(scope, target.study_uid, target.series_uid)
    if version is None:
        raise await missing(request, scope, target)
    key = (str(root), version)
    prepared = known.document(key)
    if prepared is None:

        def prepare(connection: Connection) -> Prepared | None:
            documents = find_metadata(scope, connection, target.study_uid, target.series_uid)
            return Prepared(joined(documents, root), _tag(documents, root), {}) if documents else None

        prepared = await request.app[DATABASE].read(prepare)
        if prepared is None:
            raise await missing(request, scope, target)
        known.keep_document(key, prepared)
    coding = choose_coding(request.headers.getall(hdrs.ACCEPT_ENCODING, []), CODINGS)
    if coding != IDENTITY and coding not in prepared.encoded:
        encoded = await asyncio.to_thread(compress, prepared.body, coding)
        prepared = replace(prepared, encoded={**prepared.encoded, coding: encoded})
        known.keep_document(key, prepared)
    return await send_answer(request, Answer(prepared.body, etag=prepared.etag, encoded=prepared.encoded))


def joined(documents: Sequence[MetadataDocument], root: PublicRoot) -> bytes:
    """The JSON array of the documents."""
    body = b"[" + b",".join(document.document for document in documents) + b"]"
    return body.replace(URI_KEY, URI_KEY + str(root).encode())


def _as_xml(documents: Sequence[MetadataDocument], root: PublicRoot) -> list[bytes]:
    return [to_xml(one) for one in orjson.loads(joined(documents, root))]


def _tag(documents: Sequence[MetadataDocument], root: PublicRoot) -> str:
    hasher = hashlib.sha256(str(root).encode())
    for document in documents:
        hasher.update(document.digest.encode())
    return hasher.hexdigest()[:40]
