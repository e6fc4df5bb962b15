"""The search resources over a real index, at the roots at which the server has them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from search_builder import IndexBuilder

from archive.dicom.xml_model import to_xml
from archive.dicomweb.payload import PUBLIC_BASE, TO_XML
from archive.dicomweb.problems import setup_problems
from archive.resources import DATABASE, NO_MATCH_IS_204
from archive.scope import Scope
from qido.kept import KEPT_SEARCHES, KeptSearches
from qido.routes import SCOPE_OF, routes

BASE = "https://images.example.org"
_UIDS = {"studies": "0020000D", "series": "0020000E", "instances": "00080018"}


@dataclass
class Searching:
    """A client, and what its requests may see."""

    index: IndexBuilder
    client: TestClient[web.Request, web.Application]
    scope: Scope = field(default_factory=Scope.everything)

    async def get(self, path: str, root: str = "/dicom-web", **headers: str) -> ClientResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.get(root + path, headers=named)

    async def objects(self, path: str) -> list[dict[str, Any]]:
        response = await self.get(path)
        assert response.status == 200, await response.text()
        found: list[dict[str, Any]] = await response.json(content_type="application/dicom+json")
        return found

    async def uids(self, path: str) -> list[str]:
        """UIDs of what is found, at the level that the path names, without what all UIDs begin with."""
        resource = path.partition("?")[0].rstrip("/").rpartition("/")[2]
        return [one[_UIDS[resource]]["Value"][0].removeprefix("1.2.") for one in await self.objects(path)]

    async def refused(self, path: str) -> str:
        """The parameter that a 400 names."""
        response = await self.get(path)
        assert response.status == 400, await response.text()
        return str((await response.json(content_type=None))["parameter"])

    async def warnings(self, path: str) -> list[str]:
        response = await self.get(path)
        assert response.status == 200, await response.text()
        return list(response.headers.getall("Warning", []))


@asynccontextmanager
async def searching_in(index: IndexBuilder, *, no_match_is_204: bool = False) -> AsyncIterator[Searching]:
    app = web.Application()
    setup_problems(app)
    database = index.open()
    app[DATABASE], app[PUBLIC_BASE], app[TO_XML] = database, BASE, to_xml
    app[NO_MATCH_IS_204], app[KEPT_SEARCHES] = no_match_is_204, KeptSearches()
    for root in ("/dicom-web", "/s/{share_id}/dicom-web"):
        app.add_routes(routes(root))
    holder: list[Searching] = []
    app[SCOPE_OF] = lambda _: holder[0].scope
    async with TestClient(TestServer(app)) as client:
        holder.append(Searching(index, client))
        yield holder[0]
    await database.close()
