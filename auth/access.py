"""Who asks, and what they may: the middleware states the first, `scope_of` and `require_…` decide the second.

Everything is closed by default: a handler that reads patient data asks `scope_of`, and a request that nobody is known
to make gets no scope. What happens right before an answer's first byte is in `auth.gate`.
"""

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from archive import background
from archive.audit import Audit, newest_time_ms
from archive.database.engine import Database
from archive.delivery.outbox import Channels, Outbox
from archive.delivery.wording import Wording
from archive.errors import ForbiddenError, UnauthorizedError
from archive.languages import DEFAULT_LANGUAGE, Language, load_languages
from archive.scope import Scope
from archive.vault import Vault
from auth.clock import Clock
from auth.factors import Passwords
from auth.identity_provider import IdentityProvider, ProviderSettings
from auth.limits import PerNetwork, begun_sign_ins, network_of, patients_forms, unknown_links
from auth.matching import keep_matching
from auth.notices import Telling, keep_telling
from auth.passkeys import RelyingParty
from auth.pausing import keep_watching
from auth.principals import NOBODY, Credential, Kind, Principal, credential_of, find_principal, touch
from auth.sessions import Cookies, Visitor

CACHE_S = 1.0
"""How long a principal is remembered: within this time a link switched off by another process is dead here."""
MAXIMUM_CACHED = 5_000
WATCH_EVERY_S = 0.5
URL_CREDENTIALS = frozenset({"token", "access_token", "auth_token", "api_key", "apikey", "ticket", "authorization"})
OPEN_ROOTS = ("dicom-web", "t", "shl", "wado")
"""Roots that take no cookie: a request brings a secret of its own, so any site may send it."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

CREDENTIAL: web.RequestKey[Credential] = web.RequestKey("CREDENTIAL", Credential)
PRINCIPAL: web.RequestKey[Principal] = web.RequestKey("PRINCIPAL", Principal)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """What access control is told. `key_path` holds the key of the vault; it is made where there is none."""

    public_base: str
    key_path: Path
    site_name: str = "Lightbox"
    help_phone: str = ""
    country_code: str = ""
    quiet_ms: int = 5 * 60_000
    """No new image of a study for this long: it is complete."""
    channels: Channels = field(default_factory=Channels)
    trusted_proxies: frozenset[str] = frozenset()
    provider: ProviderSettings | None = None


@dataclass(slots=True)
class Access:
    """What access control works with. One for each process; opened by `open_access`."""

    database: Database
    audit: Audit
    clock: Clock
    settings: AccessSettings
    vault: Vault
    outbox: Outbox
    languages: Mapping[str, Language]
    unknown_links: PerNetwork
    forms: PerNetwork
    sign_ins: PerNetwork
    provider: IdentityProvider | None = None
    passwords: Passwords = field(default_factory=Passwords)
    running: dict[int, tuple[web.Request, Credential, float]] = field(default_factory=dict)
    _cache: OrderedDict[Credential, tuple[Principal, float]] = field(default_factory=OrderedDict)

    @property
    def public_base(self) -> str:
        return self.settings.public_base

    @property
    def cookies(self) -> Cookies:
        return Cookies(https=self.public_base.startswith("https:"))

    @property
    def party(self) -> RelyingParty:
        return RelyingParty(self.settings.site_name, self.public_base)

    def wording(self, language: str) -> Wording:
        """The words of messages in this language, or in English."""
        chosen = self.languages.get(language) or self.languages[DEFAULT_LANGUAGE]
        return Wording(chosen, self.settings.site_name, self.public_base, self.settings.help_phone)

    def visitor(self, request: web.Request) -> Visitor:
        address = self.address_of(request)
        return Visitor(address, network_of(address), device_family(request.headers.get("User-Agent", "")))

    def address_of(self, request: web.Request) -> str:
        """The client's address; X-Forwarded-For is believed only from the configured proxies, from the right."""
        address = request.remote or ""
        forwarded = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",") if part.strip()]
        while address in self.settings.trusted_proxies and forwarded:
            address = forwarded.pop()
        return address

    async def identify(self, request: web.Request) -> Principal:
        """Who makes this request; NOBODY when no living credential came the way that its root takes."""
        credential = credential_of(request, self.cookies)
        if credential is None:
            return NOBODY
        request[CREDENTIAL] = credential
        cached = self._cache.get(credential)
        if cached is not None and cached[1] > asyncio.get_running_loop().time():
            return cached[0]
        return await self.find(credential)

    async def find(self, credential: Credential) -> Principal:
        """Look the credential up, whatever is remembered."""
        now_ms = self.clock()
        found = await self.database.keyed(find_principal, credential, now_ms)
        if found is None:
            self._cache.pop(credential, None)
            return NOBODY
        if found.touch is not None:
            await self.database.write(touch, *found.touch, now_ms)
        self._cache[credential] = (found.principal, asyncio.get_running_loop().time() + CACHE_S)
        if len(self._cache) > MAXIMUM_CACHED:
            self._cache.popitem(last=False)
        return found.principal

    def forget(self) -> None:
        """Something was switched off: remember nobody, so that it is dead with the next request."""
        self._cache.clear()

    def watch(self, request: web.Request) -> None:
        """While a reading answer runs, its credential is looked up again and again; see `end_dead_answers`."""
        credential = request.get(CREDENTIAL)
        if credential is not None and principal_of(request).kind is not Kind.NOBODY and request.method in SAFE_METHODS:
            self.running[id(request)] = (request, credential, asyncio.get_running_loop().time())


ACCESS: web.AppKey[Access] = web.AppKey("ACCESS", Access)


@contextlib.asynccontextmanager
async def open_access(database: Database, settings: AccessSettings) -> AsyncIterator[Access]:
    """Open access control over a database; the clock starts no earlier than the newest event of the trail."""
    clock = Clock(await database.read(newest_time_ms))
    vault = Vault.open(settings.key_path)
    outbox = Outbox(database, vault, settings.channels, clock)
    access = Access(
        database,
        Audit(database, clock),
        clock,
        settings,
        vault,
        outbox,
        load_languages(),
        unknown_links(database),
        patients_forms(database),
        begun_sign_ins(database),
        provider=IdentityProvider(settings.provider) if settings.provider is not None else None,
    )
    telling = Telling(database, outbox, access.wording, clock, settings.quiet_ms)
    works = (
        lambda: _watch(access),
        outbox.run,
        lambda: keep_matching(database, clock),
        lambda: keep_watching(database, clock),
        lambda: keep_telling(telling),
    )
    tasks = [background.begin(work) for work in works]
    try:
        yield access
    finally:
        await asyncio.gather(*map(background.end, tasks))
        await access.audit.close()


@web.middleware
async def access_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """State who asks. Refuses credentials in URLs and requests that another site made a browser send."""
    access = request.app[ACCESS]
    request[PRINCIPAL] = NOBODY
    if request.query_string and URL_CREDENTIALS & {name.lower() for name in request.query}:
        raise UnauthorizedError("A credential in a URL ends up in logs; send it in the Authorization header.")
    if request.method not in SAFE_METHODS:
        require_same_site(request, access.public_base)
    request[PRINCIPAL] = await access.identify(request)
    access.watch(request)
    try:
        return await handler(request)
    finally:
        access.running.pop(id(request), None)


def principal_of(request: web.Request) -> Principal:
    """Who asks; NOBODY also where the middleware has not run."""
    return request[PRINCIPAL] if PRINCIPAL in request else NOBODY  # noqa: SIM401 - get() knows no types


def scope_of(request: web.Request) -> Scope:
    """What the request may see.

    Raises
    ------
    UnauthorizedError
        Nobody is known to ask.
    ForbiddenError
        A machine that may store, and may not read.
    """
    return require_read(request).scope


def require_read(request: web.Request) -> Principal:
    """Whoever asks, if they may read at all; what they may read is their scope."""
    principal = _require_somebody(request)
    if not principal.may_read:
        raise ForbiddenError("This credential does not allow reading.")
    return principal


def require_store(request: web.Request) -> str:
    """The label of whoever asks, if they may store. A share, and a ticket, never may."""
    principal = _require_somebody(request)
    if not principal.may_store:
        raise ForbiddenError("This credential does not allow storing.")
    return principal.label


def require_admin(request: web.Request) -> str:
    """The label of whoever asks, if they may do everything."""
    principal = _require_somebody(request)
    if not principal.may_administer:
        raise ForbiddenError("This needs a token with the role admin.")
    return principal.label


def require_staff(request: web.Request, *roles: str) -> Principal:
    """The member of staff who asks, if they have one of the roles."""
    principal = principal_of(request)
    if principal.kind is not Kind.STAFF:
        raise UnauthorizedError("Sign in first.")
    if not principal.roles & frozenset(roles):
        raise ForbiddenError("Your account does not have the role for this.")
    return principal


def root_of(request: web.Request) -> str:
    """The path of the DICOMweb root that this request came in by, without a slash at the end."""
    path = request.path
    if path.startswith(("/s/", "/t/")):
        segments = path.split("/", 4)
        if len(segments) > 3 and segments[3] == "dicom-web":
            return "/".join(segments[:4])
    return "/dicom-web"


def first_segment(request: web.Request) -> str:
    """The first word of the path; "" where there is none, as in a target that is no path."""
    return request.path.removeprefix("/").partition("/")[0]


def require_same_site(request: web.Request, public_base: str) -> None:
    """A request that changes something and rides on a cookie must come from our own pages (CSRF)."""
    if first_segment(request) in OPEN_ROOTS:
        return  # no cookie is looked at on these roots
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        allowed = site in ("same-origin", "none")
    else:
        origin = request.headers.get("Origin")
        allowed = origin is None or urlsplit(origin)[:2] == urlsplit(public_base)[:2]
    if not allowed:
        raise ForbiddenError("This request was sent by another site.")


def device_family(user_agent: str) -> str:
    """What the device is, in a word or two: enough to recognise one's own, too little to follow anyone.

    Empty for what is no browser.
    """
    systems = (
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS X", "Mac"),
        ("CrOS", "Chromebook"),
        ("Linux", "Linux"),
    )
    browsers = (("Firefox/", "Firefox"), ("Edg/", "Edge"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
    system = next((name for mark, name in systems if mark in user_agent), "")
    browser = next((name for mark, name in browsers if mark in user_agent), "")
    return " ".join(filter(None, (browser, system)))


def _require_somebody(request: web.Request) -> Principal:
    principal = principal_of(request)
    if principal.kind is Kind.NOBODY:
        raise UnauthorizedError("Open the link again, sign in, or send a token.")
    return principal


async def _watch(access: Access) -> None:
    while True:
        await asyncio.sleep(WATCH_EVERY_S)
        await end_dead_answers(access)


async def end_dead_answers(access: Access) -> None:
    """Break off every running answer whose link, ticket, session or token has ended, or shows less, since it began."""
    now_s = asyncio.get_running_loop().time()
    living: dict[Credential, Principal] = {}
    for request, credential, started_s in list(access.running.values()):
        if now_s - started_s < WATCH_EVERY_S:
            continue
        if credential not in living:
            living[credential] = await access.find(credential)
        ended = living[credential].kind is Kind.NOBODY or not living[credential].sees(principal_of(request).scope)
        if ended and request.transport is not None:
            request.transport.abort()
