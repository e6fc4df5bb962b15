"""Search transactions: the URL table and the handler (PS3.18 §10.6), relative to a DICOMweb root."""

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from http import HTTPStatus
from typing import TypeVar

from aiohttp import hdrs, web

from archive.attributes import ATTRIBUTES, Level
from archive.database.engine import Connection, Database
from archive.database.snapshots import index_version
from archive.dicomweb.charset import check_charset
from archive.dicomweb.media_types import Offer, negotiate
from archive.dicomweb.multipart_response import Envelope
from archive.dicomweb.payload import JSON, TO_XML, XML, Answer, root_of, send_answer, xml_response
from archive.dicomweb.targets import PublicRoot, SeriesTarget, StudyTarget
from archive.dicomweb.transactions import Handler, Transaction
from archive.dicomweb.warnings import remaining_warning, warning_values
from archive.errors import SearchTooBroadError
from archive.index.query import Query, SearchResult
from archive.index.search import TIME_LIMIT_S, search
from archive.resources import DATABASE, NO_MATCH_IS_204, STRICT_ACCEPT
from archive.scope import Scope
from auth.access import scope_of
from qido.kept import KEPT_SEARCHES, Found, KeptSearches
from qido.parameters import Fields, Resource, parse_pairs, parse_search
from qido.results import Presentation

F = TypeVar("F", Found, SearchResult)
SCOPE_OF: web.AppKey[Callable[[web.Request], Scope]] = web.AppKey("scope_of")
"""What a request may see, where it is not `auth.access.scope_of` that says so."""
QUICK_S = 0.003
QUICK_ROWS = 101
"""How long, and for how many results, the loop itself searches before a thread does."""
KEPT_REQUESTS = 512
"""Requests of different words that are remembered as they were read."""
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
class _Asked:
    """What a request asks for: read once for requests that say the same."""

    query: Query
    presentation: Presentation
    offer: Offer
    warnings: tuple[str, ...]


@lru_cache(KEPT_REQUESTS)
def _read(resource: Resource, raw_query: str, accept: tuple[str, ...], root: PublicRoot, strict: bool) -> _Asked:
    """Raises BadRequestError and NotAcceptableError; what is refused is not kept."""
    pairs = parse_pairs(raw_query)
    check_charset(value for name, value in pairs if name == "charset")
    asked = parse_search(resource, pairs)
    in_query = [value for name, value in pairs if name == "accept"]
    offer = negotiate(accept, in_query, OFFERS, strict=strict)
    presentation = _presentation(resource.form, root, asked.fields)
    query = replace(asked.query, with_documents=presentation.needs_documents)
    return _Asked(query, presentation, offer, asked.warnings)


@lru_cache(KEPT_REQUESTS)
def _presentation(resource: Resource, root: PublicRoot, fields: Fields) -> Presentation:
    return Presentation.of(resource, root, fields)


async def _search(request: web.Request, resource_of: Callable[[], Resource]) -> web.StreamResponse:
    """Send what matches, with a word on what was ignored and on how much more there is."""
    app = request.config_dict
    scope = app.get(SCOPE_OF, scope_of)(request)
    resource, root = resource_of(), root_of(request)
    accept = tuple(request.headers.getall(hdrs.ACCEPT, ()))
    raw_query, strict = request.rel_url.raw_query_string, app.get(STRICT_ACCEPT, False)
    asked = _read(resource, raw_query, accept, root, strict)
    database = app[DATABASE]
    if asked.offer.multipart:
        return await _send_xml(request, scope, asked, root)
    kept = app.get(KEPT_SEARCHES) or KeptSearches()
    version = await database.keyed(index_version)
    name = (scope, asked.presentation, asked.query)
    found = kept.answer(name, version)
    if found is None:

        def find(connection: Connection, query: Query, limit_s: float = TIME_LIMIT_S) -> Found:
            result = search(scope, connection, query, limit_s=limit_s)
            body = asked.presentation.text(result.matches, kept)
            tag = hashlib.blake2b(body, digest_size=20).hexdigest()
            return Found(body, tag, len(result.matches), result.remaining)

        found = await _find(database, find, asked.query)
        kept.keep_answer(name, version, found)
    warnings = _warnings(root, asked.warnings, found.remaining)
    if not found.count and app.get(NO_MATCH_IS_204, False):
        return _nothing(warnings)
    answer = Answer(found.body, asked.offer.media_type, etag=found.etag, encoded=found.encoded, warnings=warnings)
    return await send_answer(request, answer)


async def _find(database: Database, find: Callable[..., F], query: Query) -> F:
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


def _warnings(root: PublicRoot, texts: Sequence[str], remaining: int) -> list[str]:
    values = warning_values(str(root), list(texts))
    return [*values, remaining_warning(str(root), remaining)] if remaining > 0 else values


async def _send_xml(request: web.Request, scope: Scope, asked: _Asked, root: PublicRoot) -> web.Response:
    """One part for each match; without any there is nothing that multipart could hold (RFC 2046 §5.1.1)."""

    def find(connection: Connection, query: Query, limit_s: float = TIME_LIMIT_S) -> SearchResult:
        return search(scope, connection, query, limit_s=limit_s)

    result = await _find(request.config_dict[DATABASE], find, asked.query)
    warnings = _warnings(root, asked.warnings, result.remaining)
    if not result.matches:
        return _nothing(warnings)
    to_xml = request.config_dict[TO_XML]
    documents = [to_xml(one) for one in asked.presentation.objects(result.matches)]
    response = xml_response(documents, Envelope(XML))
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
