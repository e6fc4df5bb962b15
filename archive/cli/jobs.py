"""`lightbox jobs …`: heavy work in a durable queue: put in, looked at, cancelled, done."""

import asyncio
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from archive.cli.options import DEFAULT_DATA, DataOption
from archive.cli.progress import progress_bar
from archive.cli.records import with_database
from archive.config import load_settings
from archive.database.engine import Database
from archive.identifiers import parse_study_uid
from archive.jobs.kinds import Argument
from archive.jobs.queue import State, add_job, cancel_job
from archive.jobs.reports import Failure, Job, find_failures, find_job, find_jobs

WHO = "command line"
LOOK_EVERY_S = 0.5
jobs = typer.Typer(help="Heavy work in a durable queue.", no_args_is_help=True)
add = typer.Typer(help="Put a job into the queue; prints its number.", no_args_is_help=True)
jobs.add_typer(add, name="add")
JobArgument = Annotated[int, typer.Argument(metavar="JOB", help="Number of the job.")]
WaitOption = Annotated[
    bool, typer.Option("--wait", help="Stay until it has ended; exit with 1 when something was not as it should be.")
]


@add.command("transcode")
def add_transcode(
    data: DataOption = DEFAULT_DATA,
    study: Annotated[str | None, typer.Option(help="Only this study, by its Study Instance UID.")] = None,
    wait: WaitOption = False,
) -> None:
    """Copy the frames that are stored to lossless HTJ2K, as `lightbox transcode` does.

    Example: lightbox jobs add transcode --data ./data
    """
    _add(data, "transcode", {"study": None if study is None else parse_study_uid(study)}, wait)


@add.command("verify")
def add_verify(
    data: DataOption = DEFAULT_DATA,
    quick: Annotated[bool, typer.Option("--quick", help="Only look whether the files are there.")] = False,
    wait: WaitOption = False,
) -> None:
    """Read every stored file and compare it with its SHA-256; what is damaged is set aside and told.

    Example: lightbox jobs add verify --data ./data --wait
    """
    _add(data, "verify", {"quick": quick}, wait)


@add.command("import")
def add_import(
    folder: Annotated[Path, typer.Argument(help="A folder on the server's disk, seen by every worker there.")],
    data: DataOption = DEFAULT_DATA,
    wait: WaitOption = False,
) -> None:
    """Take in the DICOM files of a folder and of all folders in it.

    Example: lightbox jobs add import --data ./data /srv/old-archive
    """
    if not folder.is_dir():
        raise typer.BadParameter(f"{folder} is no folder.")
    _add(data, "import", {"folder": str(folder.resolve())}, wait)


@jobs.command("list")
def list_jobs(data: DataOption = DEFAULT_DATA) -> None:
    """List jobs: number, kind, state, how much is done of all, how much failed, when and by whom it was put in.

    Example: lightbox jobs list --data ./data
    """
    for job in with_database(data, lambda database: database.read(find_jobs)):
        created = _moment(job.created_ms)
        print(f"{job.id}\t{job.kind}\t{job.state}\t{_progress(job)}\t{job.failed} failed\t{created}\t{job.asked_by}")


@jobs.command("show")
def show_job(job_id: JobArgument, data: DataOption = DEFAULT_DATA) -> None:
    """Show a job: how far it is, what came of it, and what could not be done.

    Example: lightbox jobs show --data ./data 12
    """

    async def find(database: Database) -> tuple[Job, list[Failure]]:
        return await database.read(find_job, job_id), await database.read(find_failures, job_id)

    job, failures = with_database(data, find)
    print(f"{job.kind} {json.dumps(dict(job.argument))}: {job.state}, {_progress(job)}, {job.failed} failed")
    print(f"put in {_moment(job.created_ms)} by {job.asked_by}")
    if job.finished_ms is not None:
        print(f"ended {_moment(job.finished_ms)}")
    for name, count in sorted(job.counts.items()):
        print(f"  {name}: {count}")
    for note in job.notes:
        print(f"  {note}")
    for failure in failures:
        print(f"  failed: {json.dumps(dict(failure.argument))}: {failure.reason}")


@jobs.command("cancel")
def cancel(job_id: JobArgument, data: DataOption = DEFAULT_DATA) -> None:
    """End a job. What is done stays done; what workers are doing is broken off within some seconds.

    Example: lightbox jobs cancel --data ./data 12
    """
    with_database(data, lambda database: database.write(cancel_job, job_id, _now_ms()))


@jobs.command("work")
def work(
    data: DataOption = DEFAULT_DATA,
    forever: Annotated[bool, typer.Option("--forever", help="Stay, and do what comes.")] = False,
    lease_s: Annotated[
        float, typer.Option(min=1, help="What this worker has is taken by others when it was silent for so long.")
    ] = 60.0,
) -> None:
    """Do the jobs in the queue, beside the server's own workers or without a server, until all have ended.

    Any number may run, on every machine that reaches the database and the files. On SIGTERM and Ctrl+C it gives back
    what it has not done.

    Example: lightbox jobs work --data ./data
    """
    from archive.cli.working import work_jobs  # noqa: PLC0415 - the codecs, which only this command needs

    settings = load_settings(data=data)
    if not settings.has_archive:
        raise typer.BadParameter(f"There is no archive in {data}.")
    asyncio.run(work_jobs(settings, int(lease_s * 1000), is_endless=forever))


def _add(data: Path, kind: str, argument: Argument, wait: bool) -> None:
    async def run(database: Database) -> Job | None:
        job_id = await database.write(add_job, kind, argument, WHO, _now_ms())
        print(job_id, flush=True)
        return await _wait(database, job_id) if wait else None

    job = with_database(data, run)
    if job is not None:
        for name, count in sorted(job.counts.items()):
            print(f"{name}: {count}")
        for note in job.notes:
            print(f"  {note}")
        if job.state is not State.DONE or job.notes:
            raise typer.Exit(1)


async def _wait(database: Database, job_id: int) -> Job:
    with progress_bar(f"Job {job_id}") as progress:
        task = progress.add_task("", total=None)
        while True:
            job = await database.read(find_job, job_id)
            progress.update(task, total=job.total, completed=job.done + job.failed)
            if not job.is_open:
                return job
            await asyncio.sleep(LOOK_EVERY_S)


def _progress(job: Job) -> str:
    return f"{job.done} of {job.total}"


def _moment(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
