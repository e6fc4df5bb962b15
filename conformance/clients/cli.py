"""The command line: store the samples, set every client to work, print what each did."""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import secrets
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from conformance.clients.catalogue import Client, chosen
from conformance.clients.environments import (
    Environments,
    NotInstalled,
    child_environment,
    program,
    python_version_of,
)
from conformance.clients.samples import make_samples
from conformance.clients.slide import make_slide
from conformance.clients.task import Step, Task
from conformance.clients.upload import NotStored, store

EXIT_FAILED = 1
CLIENT_LIMIT_S = 300
HERE = Path(__file__).resolve().parent
EPILOG = """examples:
  python -m conformance.clients --base http://127.0.0.1:8042/dicom-web --token TOKEN
  python -m conformance.clients --base … --only dicomtrolley --only npm --keep ~/.cache/dicomweb-clients

It stores a few small images of its own (fresh UIDs) and leaves them there.
exit status: 0 every client did its work, 1 one did not or could not be installed, 2 usage."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table."""

    client: str
    version: str
    step: Step


def main(arguments: Sequence[str]) -> int:
    """Run the command; give the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    clients = chosen(options.only)
    if not clients:
        parser.error("--only fits no client")
    base = options.base.rstrip("/")
    with tempfile.TemporaryDirectory(prefix="dicomweb-clients-") as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom, on the oddities of its sample
        folder = Path(name)
        environments = Environments(options.keep.expanduser().absolute() if options.keep else folder / "environments")
        try:
            task = _stored_task(base, options.token, folder)
        except (NotStored, OSError) as error:
            sys.stderr.write(f"The samples could not be stored: {error}\n")
            return EXIT_FAILED
        rows = [row for client in clients for row in _shown(_run_client(client, task, environments))]
    failed = sum(not row.step.ok for row in rows)
    sys.stdout.write(f"\n{len(rows) - failed} of {len(rows)} steps of {len(clients)} clients passed\n")
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
    return EXIT_FAILED if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m conformance.clients",
        description="Set other people's DICOMweb clients and toolkits to work against a server.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--base", required=True, help="base URL of the service, as in http://host/dicom-web")
    parser.add_argument("--token", default="", help="bearer token, sent with every request")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="part of a client's name")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the clients' environments here for the next run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON here")
    return parser


def _stored_task(base: str, token: str, folder: Path) -> Task:
    """Make the samples, store those that are to be found, and say what there is."""
    patient_id = f"CL{secrets.token_hex(5).upper()}"
    places = {name: folder / name for name in ("samples", "fresh", "slide", "work")}
    for place in places.values():
        place.mkdir()
    samples = make_samples(places["samples"], patient_id)
    fresh = make_samples(places["fresh"], patient_id)
    slide = make_slide(places["slide"], patient_id)
    store(base, token, [*(sample.path for sample in samples), *slide.paths])
    return Task(
        base,
        token,
        places["work"],
        patient_id,
        [asdict(sample) for sample in samples],
        [asdict(sample) for sample in fresh],
        asdict(slide),
    )


def _run_client(client: Client, task: Task, environments: Environments) -> Iterator[Row]:
    """Install the client, let its driver work on the task, and read what it says line by line."""
    try:
        command, version, folder = _command(client, environments)
    except (NotInstalled, subprocess.TimeoutExpired) as error:
        yield Row(client.name, "", Step("install", False, str(error)))
        return
    task_file = task.folder.parent / "task.json"
    task.write(task_file)
    spoken = 0
    try:
        done = subprocess.run(  # noqa: S603 - the drivers are ours
            [*command, str(task_file), *client.arguments],
            cwd=folder,
            env=child_environment(),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=CLIENT_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        yield Row(client.name, version, Step("end", False, f"not within {CLIENT_LIMIT_S} s"))
        return
    for line in done.stdout.splitlines():
        with contextlib.suppress(ValueError, TypeError):  # a client may print lines of its own
            yield Row(client.name, version, Step(**json.loads(line)))
            spoken += 1
    if done.returncode != 0 or not spoken:
        yield Row(client.name, version, Step("run", False, f"exit {done.returncode}: {done.stderr.strip()[-400:]}"))


def _command(client: Client, environments: Environments) -> tuple[list[str], str, Path]:
    """What starts the client's driver, the client's version, and the folder to start it in."""
    for name in client.programs:
        program(name)
    place, version = HERE, ""
    if client.npm:
        place = environments.node(client.npm)
        package = place / "node_modules" / client.npm[0].rpartition("@")[0] / "package.json"
        version = json.loads(package.read_text(encoding="utf-8"))["version"]
    if client.driver.endswith(".mjs"):
        return [program("node"), str(HERE / client.driver)], version, place
    python = environments.python(client.pip)
    if not client.npm:
        name = re.split(r"[<>=@]", client.pip[0])[0] if client.pip else client.programs[0]
        version = python_version_of(python, name) if client.pip else _version(name)
    return [python, "-m", f"conformance.clients.{client.driver}"], version, place


def _version(name: str) -> str:
    """The version that a program of the system gives itself, as far as it has one."""
    done = subprocess.run([program(name), "--version"], capture_output=True, text=True, timeout=20, check=False)  # noqa: S603 - a client by its name
    words = [word for word in done.stdout.split() if word.removeprefix("v")[:1].isdigit()]
    return words[0].removeprefix("v") if words else ""


def _shown(rows: Iterator[Row]) -> Iterator[Row]:
    """The same rows, each written out as it comes."""
    for row in rows:
        mark = "ok  " if row.step.ok else "FAIL"
        sys.stdout.write(f"{mark}  {row.client} {row.version}: {row.step.does}: {row.step.detail}\n")
        sys.stdout.flush()
        yield row
