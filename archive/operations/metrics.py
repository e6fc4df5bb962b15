"""Counters of this server in Prometheus' text format.

Labels are the route's template, the method and the class of the status: sets that do not grow with what is asked, and
hold nothing of patients. Several server processes add to files in one folder, and whichever is asked adds them up.
"""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from archive.operations.figures import Figures

BUCKETS_S = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})
NO_ROUTE = "none"
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Metrics:
    """The counters of this process.

    Parameters
    ----------
    folder
        Where the processes of one server leave their counts; None when there is one process only.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._found: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        if folder is not None:  # what the library else reads once from the environment, when it is imported
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
            values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]  # the library's
        self._registry = registry = CollectorRegistry()
        names = ("route", "method", "status")
        self._requests = Counter("lightbox_requests", "Requests answered.", names, registry=registry)
        self._latency = Histogram(
            "lightbox_request_seconds",
            "Time from the head of a request to the end of its answer.",
            ("route",),
            buckets=BUCKETS_S,
            registry=registry,
        )
        self._refused = Counter("lightbox_refused", "Requests refused by a limit.", ("limit",), registry=registry)
        live = [
            Gauge(name, text, registry=registry, multiprocess_mode="livesum")
            for name, text in (
                ("lightbox_process_memory_bytes", "Resident memory of the server processes."),
                ("lightbox_connections", "Open connections."),
                ("lightbox_decoding_queued", "Frames that wait for a decoder."),
            )
        ]
        self._memory, self._connections, self._queued = live

    def refused(self, limit: str) -> None:
        """A limit of the table in `limits` was met."""
        self._refused.labels(limit).inc()

    def answered(self, route: str, method: str, status: int, elapsed_s: float) -> None:
        method = method if method in METHODS else "other"
        requests, latency = self._of(route, method, status // 100)
        requests.inc()
        latency.observe(elapsed_s)

    def _of(self, route: str, method: str, hundreds: int) -> tuple[Counter, Histogram]:
        """The counters of these labels; as few as the labels, and quicker found here than in the library."""
        key = (route, method, hundreds)
        found = self._found.get(key)
        if found is None:
            counter = self._requests.labels(route, method, f"{hundreds}xx")
            found = self._found[key] = (counter, self._latency.labels(route))
        return found

    def observe(self, connections: int, queued: int) -> None:
        """The state of this process now."""
        self._memory.set(resident_bytes())
        self._connections.set(connections)
        self._queued.set(queued)

    def text(self, figures: Figures) -> bytes:
        """Everything in Prometheus' text format, of all processes."""
        registry = CollectorRegistry()
        if self._folder is not None:
            MultiProcessCollector(registry, str(self._folder))  # type: ignore[no-untyped-call]  # the library's
        whole = generate_latest(registry if self._folder is not None else self._registry)
        archive = CollectorRegistry()
        archive.register(_Archive(figures))
        return whole + generate_latest(archive)

    def close(self) -> None:
        """This process ends: what it has now is not part of the sum any more; what it counted stays."""
        if self._folder is not None:
            mark_process_dead(os.getpid(), str(self._folder))  # type: ignore[no-untyped-call]  # the library's


class _Archive(Collector):
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> list[Metric]:
        figures = self._figures
        single: Mapping[str, tuple[str, float | None]] = {
            "lightbox_stored_studies": ("Studies in the index.", figures.studies),
            "lightbox_stored_instances": ("Instances in the index.", figures.instances),
            "lightbox_stored_bytes": ("Bytes of the instances in the index.", figures.stored_bytes),
            "lightbox_database_bytes": ("Bytes of the database's files.", figures.database_bytes),
            "lightbox_disk_free_bytes": ("Bytes free on the disk of the data folder.", figures.disk_free_bytes),
            "lightbox_verify_age_seconds": ("Time since the last whole verify ended.", figures.verify_age_s),
            "lightbox_verify_damaged": ("Instances that the last whole verify found damaged.", figures.verify_damaged),
            "lightbox_jobs_waiting": ("Instances, files and blobs that jobs have still to do.", figures.jobs_waiting),
        }
        families: list[Metric] = [
            GaugeMetricFamily(name, text, value) for name, (text, value) in single.items() if value is not None
        ]
        outbox = GaugeMetricFamily("lightbox_outbox_messages", "Messages by state.", labels=("state",))
        for state, count in figures.messages.items():
            outbox.add_metric((state,), count)
        return [*families, outbox]


def clear_folder(folder: Path) -> None:
    """Before the first process of a server starts: make the folder, remove what the processes of the last one left."""
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.db"):
        path.unlink()


METRICS: web.AppKey[Metrics] = web.AppKey("METRICS", Metrics)


def setup_metrics(app: web.Application, metrics: Metrics) -> None:
    """Count every request of `app`; comes after the middleware that turns errors into answers, and goes around it."""
    app[METRICS] = metrics
    app.middlewares.insert(0, _counting(metrics))


def _counting(metrics: Metrics, now_s: Callable[[], float] = time.perf_counter) -> Middleware:
    @web.middleware
    async def counting(request: web.Request, handler: Handler) -> web.StreamResponse:
        started_s = now_s()
        status = 500
        try:
            response = await handler(request)
            status = response.status
            return response
        except web.HTTPException as redirect:
            status = redirect.status
            raise
        finally:
            metrics.answered(route_of(request), request.method, status, now_s() - started_s)

    return counting


def route_of(request: web.Request) -> str:
    """The template of the request's route; one word for all that have none."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else NO_ROUTE


def resident_bytes() -> int:
    """Memory that this process holds now."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * PAGE_BYTES if statm.exists() else 0
