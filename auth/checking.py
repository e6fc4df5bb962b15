"""Check my link: the server goes out and comes back in through the public address, as a stranger would.

It makes a share with a password for two minutes, tries it as somebody without the secret, with the secret and without
the password, and with both; then reads what a recipient would: the first picture, every series' count, the files.
"""

import asyncio
import functools
import json
from dataclasses import asdict, dataclass

import aiohttp
import sqlalchemy as sa

from archive.audit import Action, Event, Outcome, append
from archive.database.journey_tables import requests
from archive.errors import ConflictError
from archive.identifiers import StudyUID
from archive.index.reader import StudyOverview, find_study_overview
from archive.scope import Scope
from auth.access import Access
from auth.factors import new_password
from auth.requests import Request, mark
from auth.shares import Ending, Link, Mode, NewShare, create_share, end_share
from auth.tokens import SECRET_LENGTH, random_code

LIFE_S = 120
TIMEOUT_S = 30.0
FILE_BYTES_READ = 65_536
USER_AGENT = "Lightbox link check"


@dataclass(frozen=True, slots=True)
class Tick:
    """One thing tried. `name` is the key of its words; `took_ms` how long it took."""

    name: str
    passed: bool
    took_ms: int


class _Failed(Exception):  # noqa: N818 - says that a tick failed, and never leaves this module
    pass


async def check_link(access: Access, request: Request) -> list[Tick]:
    """Try everything, keep the result, and, when all passed, let the owner share."""
    if not request.study_uids:
        raise ConflictError("The images are not here yet.")
    overviews = await _overviews(access, request.study_uids)
    password = new_password()
    new = NewShare(
        request.study_uids,
        label="check",
        mode=Mode.PASSWORD,
        password=password,
        ttl_s=LIFE_S,
        created_by=f"owner {request.request_id}",
    )
    link = await create_share(access.database, access.passwords, new, access.clock())
    try:
        ticks = await _try_all(access.public_base, (link, password), overviews)
    finally:
        await access.database.write(end_share, link.share_id, Ending.REVOKED, "link check", access.clock())
        access.forget()
    await access.database.write(_keep, request.request_id, ticks, access.clock())
    return ticks


async def _overviews(access: Access, study_uids: tuple[StudyUID, ...]) -> list[StudyOverview]:
    work = functools.partial(find_study_overview, Scope(frozenset(study_uids)))
    found = [await access.database.read(work, study_uid) for study_uid in study_uids]
    return [one for one in found if one is not None]


async def _try_all(base: str, given: tuple[Link, str], overviews: list[StudyOverview]) -> list[Tick]:
    link, password = given
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(timeout=timeout, cookie_jar=jar, headers={"User-Agent": USER_AGENT}) as outside:
        visit = _Visit(outside, base, link, password, overviews)
        tries = [
            ("reachable", visit.reachable),
            ("stranger", visit.stranger),
            ("asked", visit.asked),
            ("opened", visit.opened),
            ("picture", visit.picture),
            ("series", visit.series),
            ("files", visit.files),
        ]
        ticks: list[Tick] = []
        for name, attempt in tries:
            started_s = asyncio.get_running_loop().time()
            try:
                await attempt()
                passed = True
            except (_Failed, aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError):
                passed = False
            ticks.append(Tick(name, passed, int((asyncio.get_running_loop().time() - started_s) * 1000)))
        return ticks


@dataclass(frozen=True, slots=True)
class _Visit:
    """A stranger's visit. Each method returns when it found what it should, and raises otherwise."""

    outside: aiohttp.ClientSession
    base: str
    link: Link
    password: str
    overviews: list[StudyOverview]

    @property
    def root(self) -> str:
        return f"{self.base}/s/{self.link.share_id}/dicom-web"

    async def reachable(self) -> None:
        """The page answers at the public address (over https its certificate is checked by this) and tells nothing."""
        async with self.outside.get(f"{self.base}/s/{self.link.share_id}") as answer:
            _require(answer.status == 200 and answer.headers.get("Referrer-Policy") == "no-referrer")

    async def stranger(self) -> None:
        """Without the secret, and with a wrong one, nothing is given."""
        async with self.outside.get(f"{self.root}/studies") as answer:
            _require(answer.status == 401)
        _require(await self._post("open", {"secret": random_code(SECRET_LENGTH)}) == 404)

    async def asked(self) -> None:
        """The link alone is asked for the password, and a wrong one is refused."""
        _require(await self._post("open", {"secret": self.link.secret}) == 200)
        async with self.outside.get(f"{self.root}/studies") as answer:
            _require(answer.status == 401)
        _require(await self._post("password", {"password": "not the password"}) == 403)

    async def opened(self) -> None:
        """With both, exactly the patient's studies are found."""
        _require(await self._post("password", {"password": self.password}) == 200)
        async with self.outside.get(f"{self.root}/studies", headers=_JSON) as answer:
            found = {study["0020000D"]["Value"][0] for study in json.loads(await answer.read())}
        _require(found == {one.study_uid for one in self.overviews})

    async def picture(self) -> None:
        """The first image of each study can be seen."""
        for study in self.overviews:
            path = next(
                f"series/{series.series_uid}/instances/{instance.instance_uid}"
                for series in study.series
                for instance in series.instances
                if instance.is_image
            )
            url = f"{self.root}/studies/{study.study_uid}/{path}/rendered?viewport=256,256"
            async with self.outside.get(url, headers={"Accept": "image/jpeg"}) as answer:
                _require(answer.status == 200 and (await answer.read())[:2] == b"\xff\xd8")

    async def series(self) -> None:
        """Every series is there with all its instances."""
        for study in self.overviews:
            async with self.outside.get(f"{self.root}/studies/{study.study_uid}/series", headers=_JSON) as answer:
                counts = {
                    one["0020000E"]["Value"][0]: one["00201209"]["Value"][0] for one in json.loads(await answer.read())
                }
            _require(counts == {one.series_uid: len(one.instances) for one in study.series})

    async def files(self) -> None:
        """The files can be taken: the first bytes of each study are."""
        headers = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
        for study in self.overviews:
            async with self.outside.get(f"{self.root}/studies/{study.study_uid}", headers=headers) as answer:
                _require(answer.status in (200, 206) and b"DICM" in await answer.content.read(FILE_BYTES_READ))

    async def _post(self, step: str, body: dict[str, str]) -> int:
        async with self.outside.post(f"{self.base}/api/s/{self.link.share_id}/{step}", json=body) as answer:
            return answer.status


_JSON = {"Accept": "application/dicom+json"}


def _require(fact: bool) -> None:
    if not fact:
        raise _Failed


def _keep(connection: sa.Connection, request_id: str, ticks: list[Tick], now_ms: int) -> None:
    all_passed = all(tick.passed for tick in ticks)
    result = json.dumps([asdict(tick) for tick in ticks])
    connection.execute(
        sa.update(requests).where(requests.c.id == request_id).values(check_ms=now_ms, check_result=result)
    )
    if all_passed:
        mark(connection, request_id, verified_ms=now_ms)
    outcome = Outcome.SUCCESS if all_passed else Outcome.FAILED
    failed = ",".join(tick.name for tick in ticks if not tick.passed)
    owner = f"owner {request_id}"
    append(
        connection,
        [Event(Action.LINK_CHECK, "owner", owner, outcome, share_id=request_id, detail={"failed": failed})],
        now_ms,
    )
