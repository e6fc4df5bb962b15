"""The instances that a request names: within its scope, or 404."""

from collections.abc import Sequence

from aiohttp import web

from archive.dicomweb.charset import check_charset
from archive.dicomweb.media_types import Negotiation
from archive.dicomweb.targets import InstanceTarget, SeriesTarget, StudyTarget
from archive.errors import NotFoundError
from archive.index.reader import find_instance, find_instances
from archive.instances import Instance
from archive.resources import DATABASE, STRICT_ACCEPT
from archive.scope import Scope


async def require_instance(request: web.Request, scope: Scope, target: InstanceTarget) -> Instance:
    """The instance, if its three UIDs belong together and the scope may see it. Raises NotFoundError."""
    found = await request.app[DATABASE].keyed(
        lambda connection: find_instance(scope, connection, target.study_uid, target.series_uid, target.instance_uid)
    )
    if found is None:
        raise NotFoundError
    return found


async def require_instances(
    request: web.Request, scope: Scope, target: StudyTarget | SeriesTarget
) -> Sequence[Instance]:
    """The instances of a study or series that the scope may see. Raises NotFoundError when there are none."""
    series_uid = target.series_uid if isinstance(target, SeriesTarget) else None
    found = await request.app[DATABASE].read(
        lambda connection: find_instances(scope, connection, target.study_uid, series_uid)
    )
    if not found:
        raise NotFoundError
    return found


def negotiation_of(request: web.Request) -> Negotiation:
    """What the request accepts. Raises BadRequestError on a mixture of types, or on a charset that is not UTF-8."""
    check_charset(request.query.getall("charset", []))
    return Negotiation.parse(
        request.headers.getall("Accept", []), request.query.getall("accept", []), strict=request.app[STRICT_ACCEPT]
    )
