"""Writes into the trail that somebody saw patient data on a page, before the page leaves; DICOMweb has its own gate."""

from collections.abc import Sequence

from aiohttp import web

from archive.audit import Action, Event
from auth.access import ACCESS, principal_of


async def write_reading_down(request: web.Request, study_uids: Sequence[str], about: str = "") -> None:
    """`about` is the share or request that the page shows, where it is not the visitor's own."""
    access, principal = request.app[ACCESS], principal_of(request)
    for study_uid in study_uids or [""]:
        event = Event(
            Action.METADATA,
            str(principal.kind),
            principal.label,
            share_id=about or principal.share_id,
            study_uid=study_uid,
            address=access.address_of(request),
        )
        await access.audit.read(event)
