"""Many units in the queue, workers that are killed by kill -9: `python -m tests.job_rounds --units 10000`.

Small CT instances are taken in by a job, and transcoded by another one, by two workers. Of these one is killed after a
third and one after two thirds, each replaced. All the while what is done, failed and left has to add up to what was
queued; at the end every instance has a copy, nothing is left, and each was counted once.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).resolve().parent))

from databases import engine_at
from files import part10
from servers import ROOT, database_of, lightbox

from archive.database.index_tables import instances
from archive.database.job_tables import job_units, jobs
from wado.pixels.copies import FrameCopies

SIDE = 32
FILES_IN_A_FOLDER = 1000
WORKERS = 2
KILLS = 2
LOOK_EVERY_S = 0.05
STALL_S = 120.0
"""A job of which nothing was done for so long has stopped."""
WORKER_LIMIT_S = 1800.0


@dataclass(slots=True)
class Figures:
    """What a round found; `faults` has to stay empty. `again` were done a second time, because a worker died."""

    units: int
    import_s: float = 0.0
    transcode_s: float = 0.0
    killed_at: list[int] = field(default_factory=list)
    held_by_killed: list[int] = field(default_factory=list)
    looks: int = 0
    thirds_s: list[float] = field(default_factory=list)
    again: int = 0
    faults: list[str] = field(default_factory=list)

    def text(self) -> str:
        thirds = " / ".join(f"{taken_s:.1f}" for taken_s in self.thirds_s)
        return (
            f"{self.units} instances imported in {self.import_s:.1f} s ({self.units / self.import_s:.0f} a second), "
            f"transcoded in {self.transcode_s:.1f} s ({self.units / self.transcode_s:.0f} a second; the thirds took "
            f"{thirds} s); workers killed when {self.killed_at} were done, holding {self.held_by_killed} units, of "
            f"which {self.again} were copied already; progress looked at {self.looks} times; {len(self.faults)} faults"
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """A job at one moment. `left` is what its units come to."""

    state: str
    total: int
    done: int
    failed: int
    left: int


class Round:
    """One archive with its workers, in a folder of its own."""

    def __init__(self, folder: Path, units: int, lease_s: float) -> None:
        self._folder, self._data, self._lease_s = folder, folder / "data", lease_s
        self._engine = engine_at(self._data / "lightbox.sqlite")
        self._workers: list[subprocess.Popen[bytes]] = []
        self.figures = Figures(units)

    def run(self) -> Figures:
        try:
            self._make_files()
            self._import()
            self._transcode()
            self._look_at_copies()
        finally:
            for worker in self._workers:
                if worker.poll() is None:
                    os.killpg(worker.pid, signal.SIGKILL)
                    worker.wait()
            self._engine.dispose()
        return self.figures

    def _make_files(self) -> None:
        slope = np.add.outer(np.arange(SIDE), np.arange(SIDE)).astype("<u2")
        for number in range(self.figures.units):
            place = self._folder / "disc" / f"{number // FILES_IN_A_FOLDER}"
            place.mkdir(parents=True, exist_ok=True)
            pixels = (slope + np.uint16(number % 4000)).tobytes()
            image = {"Rows": SIDE, "Columns": SIDE, "BitsAllocated": 16, "BitsStored": 13, "HighBit": 12}
            study = f"1.2.3.{number // FILES_IN_A_FOLDER}"
            uids = {
                "StudyInstanceUID": study,
                "SeriesInstanceUID": f"{study}.1",
                "SOPInstanceUID": f"{study}.1.{number}",
            }
            (place / f"IM{number}").write_bytes(part10(**image, **uids, PixelData=pixels))

    def _import(self) -> None:
        began_s = time.monotonic()
        job_id = self._add("import", str(self._folder / "disc"))
        self._ended(self._start())
        self.figures.import_s = time.monotonic() - began_s
        self._hold(self._look(job_id))

    def _transcode(self) -> None:
        job_id = self._add("transcode")
        began_s = time.monotonic()
        workers = [self._start() for _ in range(WORKERS)]
        for number in range(1, KILLS + 1):
            self._until(job_id, self.figures.units * number // (KILLS + 1))
            self.figures.thirds_s.append(time.monotonic() - began_s - sum(self.figures.thirds_s))
            self._kill(job_id, workers.pop(0))
            workers.append(self._start())
        last = self._until(job_id, self.figures.units)
        self.figures.transcode_s = time.monotonic() - began_s
        self.figures.thirds_s.append(self.figures.transcode_s - sum(self.figures.thirds_s))
        for worker in workers:
            self._ended(worker)
        self._hold(last)
        counts = lightbox("jobs", "show", "--data", str(self._data), str(job_id))
        named = dict(line.strip().split(": ") for line in counts.splitlines() if line.startswith("  "))
        self.figures.again = int(named.pop("there", 0))
        if int(named.pop("copied", 0)) + self.figures.again != self.figures.units or named:
            self._fault(f"the result is {counts}")

    def _kill(self, job_id: int, worker: "subprocess.Popen[bytes]") -> None:
        """Kill a worker that has something."""
        while not self._held_by(worker) and self._look(job_id).left:
            time.sleep(LOOK_EVERY_S / 10)
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        self.figures.killed_at.append(self._look(job_id).done)
        self.figures.held_by_killed.append(self._held_by(worker))

    def _held_by(self, worker: "subprocess.Popen[bytes]") -> int:
        query = sa.select(sa.func.count()).where(job_units.c.worker.like(f"%:{worker.pid}:%"))
        with self._engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def _until(self, job_id: int, done: int) -> Progress:
        """Look at the job until so much is done; each time its figures have to add up, and never to go back."""
        before = self._look(job_id)
        moved_s = time.monotonic()
        while before.done + before.failed < done or before.total < self.figures.units:
            time.sleep(LOOK_EVERY_S)
            now = self._look(job_id)
            self.figures.looks += 1
            if now.done + now.failed + now.left != now.total or now.done < before.done:
                self._fault(f"progress does not add up: {before}, {now}")
            if now.done > before.done:
                moved_s = time.monotonic()
            elif time.monotonic() - moved_s > STALL_S:
                raise TimeoutError(f"The job stands still: {now}")
            before = now
        return before

    def _look(self, job_id: int) -> Progress:
        left = sa.select(sa.func.coalesce(sa.func.sum(job_units.c.size), 0)).where(job_units.c.job_id == job_id)
        query = sa.select(jobs.c.state, jobs.c.total, jobs.c.done, jobs.c.failed, left.scalar_subquery())
        with self._engine.connect() as connection:
            return Progress(*connection.execute(query.where(jobs.c.id == job_id)).one())

    def _hold(self, progress: Progress) -> None:
        if progress != Progress("done", self.figures.units, self.figures.units, 0, 0):
            self._fault(f"a job ended as {progress}")

    def _look_at_copies(self) -> None:
        copies = FrameCopies(self._data / "copies", 1 << 40)
        with self._engine.connect() as connection:
            digests = connection.execute(sa.select(instances.c.digest)).scalars().all()
            units = connection.execute(sa.select(sa.func.count()).select_from(job_units)).scalar_one()
        without = sum(copies.read(digest, 0) is None for digest in digests)
        if without or units or len(digests) != self.figures.units:
            self._fault(f"of {len(digests)} instances {without} have no copy; {units} units are left")

    def _add(self, kind: str, *arguments: str) -> int:
        return int(lightbox("jobs", "add", kind, "--data", str(self._data), *arguments))

    def _start(self) -> "subprocess.Popen[bytes]":
        """The program as it is installed: a forked one would not die as a whole."""
        command = [sys.executable, "-m", "archive.cli", "jobs", "work", "--data", str(self._data)]
        with (self._folder / "workers.log").open("ab") as log:
            command += ["--lease-s", str(self._lease_s)]
            environment = os.environ | database_of(command)
            worker = subprocess.Popen(
                command, cwd=ROOT, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        self._workers.append(worker)
        return worker

    def _ended(self, worker: "subprocess.Popen[bytes]") -> None:
        if worker.wait(WORKER_LIMIT_S):
            self._fault("a worker did not end well")

    def _fault(self, text: str) -> None:
        self.figures.faults.append(text)


def job_round(folder: Path, units: int, lease_s: float) -> Figures:
    """Run it in an empty folder."""
    return Round(folder, units, lease_s).run()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=10_000)
    parser.add_argument("--lease-s", type=float, default=10.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = job_round(Path(folder), options.units, options.lease_s)
    print(figures.text())
    print("\n".join(figures.faults))
    return 1 if figures.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
