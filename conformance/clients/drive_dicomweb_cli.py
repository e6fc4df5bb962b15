"""dicomweb-client (PyPI): its command line, which searches, retrieves and stores. Runs in that client's environment.

Each command starts a Python of its own, so a few encodings stand for all; the server's own tests have them all.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pydicom
from dicomweb_client.api import DICOMwebClient

from conformance.clients.task import Task, Wrong, run_steps, same

LIMIT_S = 120
MOST_COMMANDS = 3
NATIVE = "application/octet-stream"


def search_studies(task: Task) -> str:
    found = json.loads(_run(task, "search", "studies", "--filter", f"PatientID={task.patient_id}"))
    uids = {study["0020000D"]["Value"][0] for study in found}
    if not {sample["study"] for sample in task.samples} <= uids:
        raise Wrong(f"{len(found)} studies, the stored one not among them")
    return f"{len(found)} studies"


def search_instances(task: Task) -> str:
    one = task.samples[0]
    found = json.loads(_run(task, "search", "instances", "--study", one["study"], "--field", "InstanceNumber"))
    same(
        "SOP Instance UIDs",
        {each["00080018"]["Value"][0] for each in found},
        {each["instance"] for each in task.samples},
    )
    return f"{len(found)} instances"


def retrieve_metadata(task: Task) -> str:
    for sample in task.samples[:1]:
        metadata = json.loads(_run(task, *_instance(sample), "metadata"))
        same("SOP Instance UID", metadata["00080018"]["Value"], [sample["instance"]])
    return "1 instance"


def retrieve_full(task: Task) -> str:
    chosen = task.samples[:MOST_COMMANDS]
    for sample in chosen:
        folder = _emptied(task.folder / "full")
        _run(task, *_instance(sample), "full", "--save", "--output-dir", str(folder))
        (path,) = folder.iterdir()
        same(f"{sample['name']}: elements", _without_pixels(path), _without_pixels(Path(sample["path"])))
    return f"{len(chosen)} instances, each element equal"


def retrieve_series(task: Task) -> str:
    one = task.samples[0]
    folder = _emptied(task.folder / "series")
    arguments = ("retrieve", "series", "--study", one["study"], "--series", one["series"], "full")
    _run(task, *arguments, "--save", "--output-dir", str(folder))
    got = {str(pydicom.dcmread(path).SOPInstanceUID) for path in folder.iterdir()}
    same("SOP Instance UIDs", got, {sample["instance"] for sample in task.samples})
    return f"{len(got)} instances"


def retrieve_frames(task: Task) -> str:
    expected = pydicom.dcmread(task.samples[0]["path"]).PixelData
    chosen = task.samples[:MOST_COMMANDS]
    for sample in chosen:
        folder = _emptied(task.folder / "frames")
        choice = ("--numbers", "1", "--media-type", NATIVE, "--save", "--output-dir", str(folder))
        _run(task, *_instance(sample), "frames", *choice)
        (path,) = folder.iterdir()
        same(f"{sample['name']}: decoded frame", path.read_bytes(), expected)
    return f"{len(chosen)} encodings, all the same decoded bytes"


def retrieve_bulkdata(task: Task) -> str:
    one = task.samples[0]
    metadata = json.loads(_run(task, *_instance(one), "metadata"))
    uri = metadata["7FE00010"].get("BulkDataURI")
    if uri is None:
        raise Wrong("the metadata names no BulkDataURI for Pixel Data")
    expected = pydicom.dcmread(one["path"]).PixelData
    same("bytes", DICOMwebClient(task.base, headers=task.headers).retrieve_bulkdata(uri), [expected])
    return f"{len(expected)} bytes; by the API: 0.61's command for it ends with an AttributeError at any server"


def store(task: Task) -> str:
    sample = task.fresh[0]
    _run(task, "store", "instances", "--study", sample["study"], sample["path"])
    metadata = json.loads(_run(task, *_instance(sample), "metadata"))
    same("Patient ID", metadata["00100020"]["Value"], [task.patient_id])
    return "1 instance, then its metadata"


def _run(task: Task, *arguments: str) -> str:
    command = [str(Path(sys.executable).parent / "dicomweb_client"), "--url", task.base]
    if task.token:
        command += ["--bearer-token", task.token]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=LIMIT_S, check=False)  # noqa: S603 - the client
    if done.returncode != 0 or "rror" in done.stderr:
        raise Wrong(f"{' '.join(arguments[:2])}: exit {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout


def _instance(sample: dict[str, Any]) -> tuple[str, ...]:
    uids = ("--study", sample["study"], "--series", sample["series"], "--instance", sample["instance"])
    return ("retrieve", "instances", *uids)


def _emptied(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    return folder


def _without_pixels(path: Path) -> str:
    """Every element but Pixel Data, whose encoding the client chooses."""
    dataset = pydicom.dcmread(path)
    for keyword in ("PixelData", "PixelRepresentation"):
        if keyword in dataset:
            delattr(dataset, keyword)
    return str(dataset.to_json())


if __name__ == "__main__":
    run_steps(
        {
            "search studies": search_studies,
            "search instances": search_instances,
            "retrieve metadata": retrieve_metadata,
            "retrieve instances full": retrieve_full,
            "retrieve series full": retrieve_series,
            "retrieve frames": retrieve_frames,
            "retrieve bulkdata": retrieve_bulkdata,
            "store": store,
        }
    )
