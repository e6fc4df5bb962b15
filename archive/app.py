"""The application: open what it needs, put the middlewares in order, add every route."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from aiohttp import web

import archive.imports.routes
import auth.routes
import qido.routes
import stow.deletion
import stow.routes
import wado.routes
from archive import background
from archive.completeness.record import keep_checking
from archive.config import Settings
from archive.database.engine import Database, open_database
from archive.delivery.mail import MailSettings
from archive.delivery.outbox import Channels
from archive.delivery.sms import SmsSettings
from archive.dicom.xml_model import to_xml
from archive.dicomweb.capabilities import capability_routes
from archive.dicomweb.openapi import Description, openapi_routes
from archive.dicomweb.payload import PUBLIC_BASE, TO_XML
from archive.dicomweb.problems import setup_problems
from archive.errors import UnsupportedServiceError
from archive.imports.importing import Imports, keep_tidy
from archive.imports.parts import Parts
from archive.imports.record import Quota
from archive.index.known import Known
from archive.ingest import Ingest
from archive.jobs.scrub import Scrub, keep_scrubbing
from archive.jobs.sweep import keep_sweeping
from archive.jobs.worker import Worker, keep_bounded
from archive.opening import limits_of, open_store
from archive.operations import health
from archive.operations import routes as operations_routes
from archive.operations.door import DOOR, Door, host_middleware, say_goodbye
from archive.operations.figures import FiguresReader
from archive.operations.limits import TURNSTILE, Turnstile, limits_middleware
from archive.operations.metrics import METRICS, Metrics, setup_metrics
from archive.operations.routes import OPERATIONS, Operations
from archive.pages.problems import present_problem
from archive.pages.rendering import PAGES, Pages
from archive.pages.routes import routes as page_routes
from archive.resources import DATABASE, INGEST, KNOWN, NO_MATCH_IS_204, STORE, STRICT_ACCEPT
from archive.viewer.routes import routes as viewer_routes
from archive.work import Means, kinds_of
from auth.access import AccessSettings, open_access, scope_of
from auth.gate import install
from auth.identity_provider import ProviderSettings
from auth.without_name import Copies
from qido.kept import KEPT_SEARCHES, KeptSearches
from stow.parts import StowLimits
from wado.ahead import FORESIGHT, Foresight
from wado.bundle import PREPARED_AT_ONCE, PREPARING
from wado.copying import keep_copying
from wado.handing import HANDED, HandedFiles
from wado.pixels.cache import DerivedCache
from wado.pixels.copies import FrameCopies
from wado.pixels.pool import PixelPool
from wado.sources import COPIES, PIXELS

DICOMWEB_ROOTS = ("/dicom-web", "/s/{share_id}/dicom-web", "/t/{ticket}/dicom-web")
"""For machines and staff with a token; for a share's session; for a ticket."""
OTHER_SERVICES = ("workitems", "{npi:color-palettes|defined-procedure-protocols|hanging-protocols|implant-templates}")
"""Services of PS3.18 that are not offered: 501."""
TRANSACTIONS = (*stow.routes.TRANSACTIONS, *qido.routes.TRANSACTIONS, *wado.routes.TRANSACTIONS)
"""Everything that can be done below any DICOMweb root."""
TABLES = {
    root: (*TRANSACTIONS, *(stow.deletion.TRANSACTIONS if root == DICOMWEB_ROOTS[0] else ())) for root in DICOMWEB_ROOTS
}
"""The same for each root: only the first one is for administrators."""
BESIDE_ROOTS = (wado.routes.BY_URI,)
"""WADO-URI also at `/wado`, where old clients are used to find it."""


def build_app(settings: Settings, alone_since_s: float = 0.0) -> web.Application:
    """The whole server on the settings' data; the database must have been migrated.

    `alone_since_s` is since when no process but this server's stores there; 0 where that is not known.
    """
    app = web.Application(client_max_size=1 << 20)
    setup_problems(app, present_problem)
    setup_metrics(app, Metrics(settings.metrics_folder if settings.workers > 1 else None))
    app[DOOR], app[TURNSTILE] = (
        Door(trusted=frozenset(settings.trusted_proxies), send_idle_s=settings.send_idle_s),
        Turnstile(),
    )
    app.middlewares.append(host_middleware)
    app.on_response_prepare.append(say_goodbye)
    app.cleanup_ctx.append(_opened(settings, alone_since_s))
    app[STRICT_ACCEPT] = settings.strict_accept
    app[KEPT_SEARCHES] = KeptSearches()
    app[NO_MATCH_IS_204] = settings.no_match_is_204
    app[PUBLIC_BASE] = settings.base_url
    app[TO_XML] = to_xml
    app[stow.routes.LIMITS] = StowLimits(
        request_bytes=settings.request_limit_bytes,
        parts=settings.parts_limit,
        idle_s=settings.body_idle_s,
        bytes_per_s=settings.body_bytes_per_s,
    )
    app[PAGES] = Pages(settings.site_name, settings.help_phone)
    for root in DICOMWEB_ROOTS:
        app.add_routes(dicomweb_routes(root))
    app.add_routes(transaction.route("") for transaction in BESIDE_ROOTS)
    app.add_routes(openapi_routes(Description("Lightbox", _version(), {**TABLES, "": BESIDE_ROOTS})))
    app.add_routes(auth.routes.routes())
    app.add_routes(archive.imports.routes.routes())
    app.add_routes(page_routes())
    app.add_routes(viewer_routes(settings.viewer_folder))
    app.add_routes(health.routes())
    app.add_routes(operations_routes.routes())
    return app


def dicomweb_routes(root: str) -> list[web.RouteDef]:
    """Every DICOMweb resource below a root."""
    # Routes are tried one by one: first those without variables, which are quickly told, then WADO's, the busiest.
    return sorted(_resources(root), key=lambda route: "{" in route.path.removeprefix(root))


def _resources(root: str) -> list[web.RouteDef]:
    return [
        *wado.routes.routes(root),
        *capability_routes(root, TABLES[root]),
        *stow.routes.routes(root),
        *qido.routes.routes(root),
        *(stow.deletion.routes(root) if root == DICOMWEB_ROOTS[0] else ()),
        *(web.route("*", f"{root}/{service}{{rest:.*}}", refuse_service) for service in OTHER_SERVICES),
    ]


def _version() -> str:
    try:
        return version("lightbox-archive")
    except PackageNotFoundError:
        return "0"  # run from its source tree


async def refuse_service(request: web.Request) -> web.Response:
    """A service of PS3.18 that this server does not offer."""
    scope_of(request)
    raise UnsupportedServiceError("This server offers the Studies service; it has no worklist and no templates.")


def _turn(database: Database, folder: Path, name: str) -> background.Turn:
    """Whose turn the work is: among all hosts where they share a database, else among the processes of this one."""
    return lambda: database.turn(name) or background.turn_of_host(folder / name)


def _share_of(total: int, processes: int) -> int:
    """What one of several server processes takes of what the settings give to all of them."""
    return max(1, total // processes)


def access_settings(settings: Settings) -> AccessSettings:
    """The part of the settings that access control and the channels work with."""
    mail = sms = None
    if settings.smtp_host:
        mail = MailSettings(
            settings.smtp_host,
            settings.smtp_port,
            settings.smtp_security,
            settings.smtp_username,
            settings.smtp_password.get_secret_value(),
            settings.mail_from or f"lightbox@{settings.smtp_host}",
            settings.site_name,
            ca_file=settings.smtp_ca_file,
        )
    if settings.sms_url:
        sms = SmsSettings(
            settings.sms_url,
            settings.sms_method,
            {name: value.get_secret_value() for name, value in settings.sms_headers.items()},
            settings.sms_body,
            settings.sms_content_type,
            settings.sms_success,
            settings.sms_reference,
            settings.sms_countries,
            settings.sms_per_number_per_day,
        )
    return AccessSettings(
        settings.base_url,
        settings.key_path,
        site_name=settings.site_name,
        help_phone=settings.help_phone,
        country_code=settings.country_code,
        quiet_ms=int(settings.quiet_s * 1000),
        channels=Channels(mail, sms),
        trusted_proxies=frozenset(settings.trusted_proxies),
        provider=provider_settings(settings),
    )


def provider_settings(settings: Settings) -> ProviderSettings | None:
    """The identity provider, if one is set up."""
    if not settings.oidc_issuer:
        return None
    return ProviderSettings(
        settings.oidc_issuer,
        settings.oidc_client_id,
        settings.oidc_client_secret.get_secret_value(),
        settings.oidc_scope,
        settings.oidc_role_claim,
        settings.oidc_roles,
    )


def _opened(settings: Settings, alone_since_s: float) -> Callable[[web.Application], AsyncIterator[None]]:
    """Everything that has to be closed again, in the order in which it is needed."""

    async def opened(app: web.Application) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            database = open_database(settings.database_place, settings.database_wait_s)
            stack.push_async_callback(database.close)
            app[DATABASE], app[KNOWN] = database, Known(database)
            app[STORE] = open_store(settings)
            ingest = Ingest(app[STORE], database, limits_of(settings))
            stack.push_async_callback(ingest.close)
            app[INGEST] = ingest
            access = await stack.enter_async_context(open_access(database, access_settings(settings)))
            install(app, access)
            app.middlewares.append(limits_middleware)
            quota = Quota(settings.patient_import_bytes, settings.patient_import_files)
            imports = Imports(
                database, ingest, Parts(settings.imports_folder), access.audit, access.clock, access.forget, quota
            )
            app[archive.imports.routes.IMPORTS] = imports
            nameless = Copies(database, app[STORE], ingest, app[KNOWN].forget)
            upkeep: dict[str, background.Work] = {
                "purging": lambda: stow.deletion.keep_purging(database, app[STORE], settings.undo_days * 86_400),
                "imports": lambda: keep_tidy(imports),
                "sweep": lambda: keep_sweeping(database, app[STORE], alone_since_s),
                "copies": lambda: nameless.keep(access.clock),
                "jobs": lambda: keep_bounded(database, access.clock),
                "completeness": lambda: keep_checking(database, access.clock, int(settings.quiet_s * 1000)),
            }
            if settings.scrub_days:
                scrub = Scrub(database, app[STORE], settings.scrub_state)
                upkeep["scrub"] = lambda: keep_scrubbing(scrub, settings.scrub_days)
            copies = app[COPIES] = FrameCopies(settings.copies_folder, settings.copies_limit_bytes)
            if settings.copy_frames:
                upkeep["copying"] = lambda: keep_copying(database, app[STORE], copies, settings.frame_timeout_s)
            settings.locks_folder.mkdir(exist_ok=True)
            for name, work in upkeep.items():
                task = background.begin(work, _turn(database, settings.locks_folder, name))
                stack.push_async_callback(background.end, task)
            means = Means(database, app[STORE], ingest, copies, access.clock, settings.frame_timeout_s)
            for _ in range(settings.job_workers):
                task = background.begin(Worker(database, kinds_of(means), access.clock).keep)
                stack.push_async_callback(background.end, task)
            app[FORESIGHT] = Foresight()
            app[PREPARING] = asyncio.Semaphore(PREPARED_AT_ONCE)
            stack.push_async_callback(app[FORESIGHT].close)
            cache = DerivedCache(settings.derived_folder, settings.derived_limit_bytes)
            if settings.accel_prefix:
                app[HANDED] = HandedFiles(settings.accel_prefix)
            app[PIXELS] = await stack.enter_async_context(
                PixelPool(
                    workers=_share_of(settings.codec_workers or os.cpu_count() or 1, settings.workers),
                    queue_limit=_share_of(settings.codec_queue_limit, settings.workers),
                    frame_timeout_s=settings.frame_timeout_s,
                    cache=cache,
                )
            )
            app[health.READINESS] = health.Readiness(database, app[STORE], settings.scrub_state)
            stack.push_async_callback(app[health.READINESS].close)
            app[OPERATIONS] = Operations(
                FiguresReader(database, settings.data, settings.scrub_state, access.clock),
                lambda: app[PIXELS].queued,
                _version(),
                frozenset(settings.metrics_open_to),
            )
            stack.callback(app[METRICS].close)
            stack.push_async_callback(background.end, background.begin(lambda: operations_routes.keep_observing(app)))
            yield

    return opened
