"""Search transactions: the URL table and the handler (PS3.18 §10.6), relative to a DICOMweb root."""

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus

import orjson
from aiohttp import hdrs, web

from archive.attributes import ATTRIBUTES, Level
from archive.database.engine import Connection, Database
from archive.dicomweb.charset import check_charset
from archive.dicomweb.media_types import Offer, negotiate
from archive.dicomweb.multipart_response import Envelope
from archive.dicomweb.payload import JSON, TO_XML, XML, Answer, root_of, send_answer, xml_response
from archive.dicomweb.targets import PublicRoot, SeriesTarget, StudyTarget
from archive.dicomweb.transactions import Handler, Transaction
from archive.dicomweb.warnings import remaining_warning, warning_values
from archive.errors import SearchTooBroadError
from archive.index.query import Query
from archive.index.search import TIME_LIMIT_S, search
from archive.resources import DATABASE, NO_MATCH_IS_204, STRICT_ACCEPT
from archive.scope import Scope
from auth.access import scope_of
from qido.parameters import Pairs, Resource, parse_pairs, parse_search
from qido.results import Attributes, Presentation

SCOPE_OF: web.AppKey[Callable[[web.Request], Scope]] = web.AppKey("scope_of")
"""What a request may see, where it is not `auth.access.scope_of` that says so."""
QUICK_S = 0.003
QUICK_ROWS = 101
"""How long, and for how many results, the loop itself searches before a thread does."""
OFFERS = (Offer(JSON), Offer(XML, multipart=True, rank=1), Offer("application/json", rank=2))


async def search_studies(request: web.Request) -> web.StreamResponse:
    return await _search(request, lambda: Resource(Level.STUDY))


async def search_series(request: web.Request) -> web.StreamResponse:
    return await _search(request, lambda: Resource(Level.SERIES))


async def search_instances(request: web.Request) -> web.StreamResponse:
    return await _search(request, lambda: Resource(Level.INSTANCE))


async def search_series_of_study(request: web.Request) -> web.StreamResponse:
    return await _search(request, lambda: Resource(Level.SERIES, StudyTarget.parse(request.match_info).study_uid))


async def search_instances_of_study(request: web.Request) -> web.StreamResponse:
    return await _search(request, lambda: Resource(Level.INSTANCE, StudyTarget.parse(request.match_info).study_uid))


async def search_instances_of_series(request: web.Request) -> web.StreamResponse:
    def resource() -> Resource:
        target = SeriesTarget.parse(request.match_info)
        return Resource(Level.INSTANCE, target.study_uid, target.series_uid)

    return await _search(request, resource)


@dataclass(frozen=True, slots=True)
class _Found:
    """The objects of one search and, where it is JSON that is wanted, their text."""

    objects: Sequence[Attributes]
    body: bytes
    remaining: int


async def _search(request: web.Request, resource_of: Callable[[], Resource]) -> web.StreamResponse:
    """Send what matches, with a word on what was ignored and on how much more there is."""
    scope = request.config_dict.get(SCOPE_OF, scope_of)(request)
    resource = resource_of()
    pairs = parse_pairs(request.rel_url.raw_query_string)
    check_charset(value for name, value in pairs if name == "charset")
    asked = parse_search(resource, pairs)
    offer = _negotiate(request, pairs)
    root = root_of(request)
    presentation = Presentation.of(resource, root, asked.fields)
    query = replace(asked.query, with_documents=presentation.needs_documents)

    def find(connection: Connection, query: Query, limit_s: float = TIME_LIMIT_S) -> _Found:
        result = search(scope, connection, query, limit_s=limit_s)
        objects = presentation.objects(result.matches)
        return _Found(objects, orjson.dumps(objects) if not offer.multipart else b"", result.remaining)

    found = await _find(request.config_dict[DATABASE], find, query)
    warnings = _warnings(root, asked.warnings, found.remaining)
    if offer.multipart:
        return _send_xml(request, found, warnings)
    if not found.objects and request.config_dict.get(NO_MATCH_IS_204, False):
        return _nothing(warnings)
    tag = hashlib.blake2b(found.body, digest_size=20).hexdigest()
    return await send_answer(request, Answer(found.body, offer.media_type, etag=tag, warnings=warnings))


async def _find(database: Database, find: Callable[..., _Found], query: Query) -> _Found:
    """Search in the loop for a moment, as most searches take no longer; else in a thread, and from the beginning.

    A thread would have to take turns with the loop at every row, and both would wait.
    """
    if query.is_by_uid:
        return await database.keyed(find, query)
    quick = replace(query, limit=min(query.limit, QUICK_ROWS))
    if not query.with_documents:
        with contextlib.suppress(SearchTooBroadError):
            found = await database.keyed(find, quick, QUICK_S)
            if quick.limit == query.limit or found.remaining <= 0:
                return found
    return await database.read(find, query)


def _negotiate(request: web.Request, pairs: Pairs) -> Offer:
    accept = request.headers.getall(hdrs.ACCEPT, [])
    in_query = [value for name, value in pairs if name == "accept"]
    return negotiate(accept, in_query, OFFERS, strict=request.config_dict.get(STRICT_ACCEPT, False))


def _warnings(root: PublicRoot, texts: Sequence[str], remaining: int) -> list[str]:
    values = warning_values(str(root), list(texts))
    return [*values, remaining_warning(str(root), remaining)] if remaining > 0 else values


def _send_xml(request: web.Request, found: _Found, warnings: Sequence[str]) -> web.Response:
    """One part for each match; without any there is nothing that multipart could hold (RFC 2046 §5.1.1)."""
    if not found.objects:
        return _nothing(warnings)
    to_xml = request.config_dict[TO_XML]
    response = xml_response([to_xml(one) for one in found.objects], Envelope(XML))
    for warning in warnings:
        response.headers.add(hdrs.WARNING, warning)
    return response


def _nothing(warnings: Sequence[str]) -> web.Response:
    response = web.Response(status=HTTPStatus.NO_CONTENT)
    for warning in warnings:
        response.headers.add(hdrs.WARNING, warning)
    return response


PAGING = ("limit", "offset")
SWITCHES = ("fuzzymatching", "emptyvaluematching", "multiplevaluematching", "includefield", "accept", "charset")


def _search_transaction(path: str, name: str, level: Level, handler: Handler) -> Transaction:
    keys = tuple(one.keyword for one in ATTRIBUTES.values() if one.matched and one.level <= level)
    produces = (JSON, f'multipart/related; type="{XML}"')
    return Transaction("GET", path, name, "PS3.18 §10.6", handler, produces, (), (*PAGING, *SWITCHES, *keys))


TRANSACTIONS = (
    _search_transaction("/studies", "SearchStudies", Level.STUDY, search_studies),
    _search_transaction("/studies/{study}/series", "SearchSeriesOfStudy", Level.SERIES, search_series_of_study),
    _search_transaction(
        "/studies/{study}/instances", "SearchInstancesOfStudy", Level.INSTANCE, search_instances_of_study
    ),
    _search_transaction(
        "/studies/{study}/series/{series}/instances",
        "SearchInstancesOfSeries",
        Level.INSTANCE,
        search_instances_of_series,
    ),
    _search_transaction("/series", "SearchSeries", Level.SERIES, search_series),
    _search_transaction("/instances", "SearchInstances", Level.INSTANCE, search_instances),
)
"""The six resources that are searched (PS3.18 Table 10.6.1-1)."""


def routes(root: str = "") -> list[web.RouteDef]:
    """The search resources below a DICOMweb root."""
    return [transaction.route(root) for transaction in TRANSACTIONS]
