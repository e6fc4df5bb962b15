"""An S3 server for the tests of stores, started once, and only where a test asks for it."""

from collections.abc import Iterator

import pytest
from object_server import ObjectServer, object_server

from archive.store.objects import Bucket


@pytest.fixture(scope="session")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    server = object_server(tmp_path_factory.mktemp("objects") / "weed")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def bucket(objects: ObjectServer) -> Bucket:
    return objects.bucket
