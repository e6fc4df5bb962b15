"""What the application opens once and every handler may use."""

from aiohttp import web

from archive.database.engine import Database
from archive.index.known import Known
from archive.ingest import Ingest
from archive.store.contract import Store

DATABASE: web.AppKey[Database] = web.AppKey("DATABASE", Database)
STORE: web.AppKey[Store] = web.AppKey("STORE", Store)
KNOWN: web.AppKey[Known] = web.AppKey("KNOWN", Known)
INGEST: web.AppKey[Ingest] = web.AppKey("INGEST", Ingest)
STRICT_ACCEPT: web.AppKey[bool] = web.AppKey("STRICT_ACCEPT", bool)
"""Whether a request without Accept is answered 406 (PS3.18 §8.7.5)."""
NO_MATCH_IS_204: web.AppKey[bool] = web.AppKey("NO_MATCH_IS_204", bool)
"""Whether a search without a match is answered 204 (before CP-2473)."""
