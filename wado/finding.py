"""The instances that a request names: within its scope, or 404."""

from collections.abc import Sequence
from functools import lru_cache

from aiohttp import web

from archive.dicomweb.charset import check_charset
from archive.dicomweb.media_types import Negotiation
from archive.dicomweb.targets import InstanceTarget, SeriesTarget, StudyTarget
from archive.errors import GoneError, LightboxError, NotFoundError
from archive.index.deletion import Chain, was_deleted
from archive.index.reader import find_instances, find_metadata
from archive.instances import Instance
from archive.resources import DATABASE, KNOWN, STRICT_ACCEPT
from archive.scope import Scope


async def require_instance(request: web.Request, scope: Scope, target: InstanceTarget) -> Instance:
    """The instance, if its three UIDs belong together and the scope may see it. Raises NotFoundError, GoneError."""
    known = request.app[KNOWN]
    found = await known.find_instance(scope, target.study_uid, target.series_uid, target.instance_uid)
    if found is None:
        raise await missing(request, scope, target)
    return found


async def require_instances(
    request: web.Request, scope: Scope, target: StudyTarget | SeriesTarget
) -> Sequence[Instance]:
    """The instances of a study or series that the scope may see. Raises NotFoundError, GoneError."""
    series_uid = target.series_uid if isinstance(target, SeriesTarget) else None
    found = await request.app[DATABASE].read(
        lambda connection: find_instances(scope, connection, target.study_uid, series_uid)
    )
    if not found:
        raise await missing(request, scope, target)
    return found


async def require_metadata(request: web.Request, scope: Scope, instance: Instance) -> bytes:
    """The stored DICOM JSON of an instance. Raises NotFoundError when it has just been taken away."""
    documents = await request.app[DATABASE].keyed(
        lambda connection: find_metadata(
            scope, connection, instance.study_uid, instance.series_uid, instance.instance_uid
        )
    )
    if not documents:
        raise NotFoundError
    return documents[0].document


async def missing(
    request: web.Request, scope: Scope, target: StudyTarget | SeriesTarget | InstanceTarget
) -> LightboxError:
    """Why there is nothing: it was deleted (PS3.18 §10.4.3: 410), or it never was there."""
    chain = Chain(target.study_uid)
    if isinstance(target, SeriesTarget):
        chain = Chain(target.study_uid, target.series_uid)
    elif isinstance(target, InstanceTarget):
        chain = Chain(target.study_uid, target.series_uid, target.instance_uid)
    gone = await request.app[DATABASE].keyed(lambda connection: was_deleted(scope, connection, chain))
    return GoneError("This was deleted.") if gone else NotFoundError()


def negotiation_of(request: web.Request) -> Negotiation:
    """What the request accepts. Raises BadRequestError on a mixture of types, or on a charset that is not UTF-8."""
    check_charset(request.query.getall("charset", []))
    accept = tuple(request.headers.getall("Accept", ()))
    return _negotiation(accept, tuple(request.query.getall("accept", ())), request.app[STRICT_ACCEPT])


@lru_cache(maxsize=256)
def _negotiation(accept: tuple[str, ...], query_accept: tuple[str, ...], strict: bool) -> Negotiation:
    """Clients say the same again and again; a header is at most some KiB long."""
    return Negotiation.parse(accept, query_accept, strict=strict)
