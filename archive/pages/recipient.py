"""What whoever holds a link sees: the inert page, the typed code, the images at a glance (sharing by link, E2)."""

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web

from archive.completeness.findings import Finding
from archive.completeness.record import read_findings
from archive.index.reader import InstanceSummary, SeriesOverview, StudyOverview, find_study_overview
from archive.index.texts import readable_name
from archive.languages import Language
from archive.pages.reading import write_reading_down
from archive.pages.rendering import PAGES
from auth.access import ACCESS, Access, principal_of
from auth.principals import Kind
from auth.shares import Share, find_share
from auth.sharing import OWN_LABEL
from auth.tickets import list_tickets
from auth.without_name import left_out

VIEWPORTS = (512, 1024)
"""Sides of the pictures offered: a phone's and a desktop's; the browser picks by its own pixels."""
THUMBNAIL = 128
MAXIMUM_PICTURES = 20_000
"""Pictures of one study that the quick look can slide through; the full viewer has no such limit."""


def routes() -> list[web.RouteDef]:
    return [
        web.get("/s/{share_id}", get_link),
        web.get("/s/{share_id}/", get_link),
        web.get("/s/{share_id}/images", get_images),
        web.get("/s/{share_id}/elsewhere", get_elsewhere),
        web.get("/c", get_typed_code),
    ]


@dataclass(frozen=True, slots=True)
class Report:
    title: str
    url: str


@dataclass(frozen=True, slots=True)
class SeriesLook:
    """A series as the quick look shows it. `pictures` are addresses below the study, without `/rendered`."""

    title: str
    modality: str
    pictures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StudyLook:
    """A study as the page shows it."""

    study_uid: str
    root: str
    title: str
    date: str
    patient_name: str
    birth_date: str
    modalities: str
    series: tuple[SeriesLook, ...]
    reports: tuple[Report, ...]
    viewer_url: str

    @property
    def picture_count(self) -> int:
        return sum(len(series.pictures) for series in self.series)

    @property
    def is_ct(self) -> bool:
        return any(series.modality == "CT" for series in self.series)

    def data(self) -> dict[str, Any]:
        """What the script needs to slide through the pictures."""
        return {
            "root": self.root,
            "series": [
                {"title": series.title, "modality": series.modality, "pictures": series.pictures}
                for series in self.series
            ],
        }


async def get_link(request: web.Request) -> web.Response:
    """The page that a link opens: nothing on it depends on the link, so it tells nothing about it."""
    return request.app[PAGES].respond(request, "link.html", {"kind": "s"})


async def get_typed_code(request: web.Request) -> web.Response:
    """Where a code from paper is typed."""
    return request.app[PAGES].respond(request, "code.html", {})


async def get_elsewhere(request: web.Request) -> web.StreamResponse:
    """Tickets for other viewers, and what each viewer is given."""
    principal, access = principal_of(request), request.app[ACCESS]
    share = None
    if principal.kind is Kind.SHARE:
        share = await access.database.keyed(find_share, principal.share_id, access.clock())
    if share is None:
        raise web.HTTPSeeOther(f"/s/{request.match_info['share_id']}")
    tickets = await access.database.keyed(list_tickets, share.share_id, access.clock())
    return request.app[PAGES].respond(request, "elsewhere.html", {"share": share, "tickets": tickets})


async def get_images(request: web.Request) -> web.StreamResponse:
    """The images, for a session that has passed every step; anyone else goes back to the link's page."""
    principal, access = principal_of(request), request.app[ACCESS]
    if principal.kind is not Kind.SHARE:
        raise web.HTTPSeeOther(f"/s/{request.match_info['share_id']}")
    share = await access.database.keyed(find_share, principal.share_id, access.clock())
    if share is None:
        raise web.HTTPSeeOther(f"/s/{principal.share_id}")
    overviews = await read_overviews(access, share)
    await write_reading_down(request, [one.study_uid for one in overviews])
    pages = request.app[PAGES]
    language = pages.language(request)
    looks = [study_look(overview, share.share_id, language) for overview in overviews]
    context: dict[str, object] = {"share": share, "studies": looks, "viewports": VIEWPORTS, "thumbnail": THUMBNAIL}
    context["left_out"] = asdict(await access.database.read(left_out, share)) if share.without_name else None
    context["lacks"] = await read_lacks(access, [look.study_uid for look in looks])
    context["who"] = "" if share.label == OWN_LABEL else share.label
    return pages.respond(request, "images.html", context)


async def read_overviews(access: Access, share: Share) -> list[StudyOverview]:
    """What the share shows, newest examination first."""
    work = functools.partial(find_study_overview, share.scope)
    found = [await access.database.read(work, study_uid) for study_uid in sorted(share.study_uids)]
    return sorted((one for one in found if one is not None), key=lambda one: one.study_date, reverse=True)


async def read_lacks(access: Access, study_uids: Sequence[str]) -> dict[str, list[Finding]]:
    """What is missing in each study, for the page to say."""
    return {uid: await access.database.read(read_findings, uid) for uid in study_uids}


def study_look(overview: StudyOverview, share_id: str, language: Language) -> StudyLook:
    """The study in the words and addresses of the page."""
    root = f"/s/{share_id}/dicom-web/studies/{overview.study_uid}"
    left = MAXIMUM_PICTURES
    series: list[SeriesLook] = []
    reports: list[Report] = []
    for one in overview.series:
        reports += [
            Report(one.description or language.text("images.report"), f"{root}{_path(one, instance)}/rendered")
            for instance in one.instances
            if instance.is_report
        ]
        pictures = tuple(_pictures(one))[:left]
        left -= len(pictures)
        if pictures:
            title = one.description or language.text("images.series", number=one.number or len(series) + 1)
            series.append(SeriesLook(title, one.modality, pictures))
    return StudyLook(
        study_uid=overview.study_uid,
        root=root,
        title=overview.description or language.text("images.study"),
        date=language.day(overview.study_date),
        patient_name=readable_name(overview.patient_name),
        birth_date=language.day(overview.patient_birth_date),
        modalities=", ".join(overview.modalities),
        series=tuple(series),
        reports=tuple(reports),
        viewer_url=f"/s/{share_id}/viewer?StudyInstanceUIDs={overview.study_uid}",
    )


def _pictures(series: SeriesOverview) -> list[str]:
    pictures = []
    for instance in series.instances:
        if not instance.is_image:
            continue
        path = _path(series, instance)
        if instance.frame_count > 1:
            pictures += [f"{path}/frames/{number}" for number in range(1, instance.frame_count + 1)]
        else:
            pictures.append(path)
    return pictures


def _path(series: SeriesOverview, instance: InstanceSummary) -> str:
    return f"/series/{series.series_uid}/instances/{instance.instance_uid}"
