"""DCMTK, GDCM and dicom3tools reading what comes back: as it was stored, and as Explicit VR Little Endian."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pydicom

from conformance.clients.task import Task, Wrong, run_steps, same

LIMIT_S = 60
EXPLICIT = "1.2.840.10008.1.2.1"
NOT_IN_GDCM = {"htj2k"}  # GDCM 3.0 does not know it


def dcmtk_as_stored(task: Task) -> str:
    for sample in task.samples:
        path = _retrieved(task, sample, "*")
        if f"[{sample['instance']}]" not in _run("dcmdump", "+P", "SOPInstanceUID", str(path)):
            raise Wrong(f"{sample['name']}: dcmdump does not show the SOP Instance UID")
        _run("dcmdump", str(path))
    return f"dcmdump read {len(task.samples)} encodings"


def dcmtk_decodes(task: Task) -> str:
    """DCMTK's own decoders turn what came back into native pixels."""
    decoders = {"jpeg-ls": "dcmdjpls", "jpeg-lossless": "dcmdjpeg", "rle": "dcmdrle"}
    for sample in task.samples:
        if sample["name"] in decoders:
            path = _retrieved(task, sample, "*")
            _run(decoders[sample["name"]], str(path), str(path.with_suffix(".native")))
            _same_pixels(sample, path.with_suffix(".native"))
    return ", ".join(decoders.values())


def dcmtk_explicit(task: Task) -> str:
    pictures = set()
    for sample in task.samples:
        path = _retrieved(task, sample, EXPLICIT)
        _same_pixels(sample, path)
        picture = path.with_suffix(".pgm")
        _run("dcmj2pnm", "+Wi", "1", "+op", str(path), str(picture))
        pictures.add(picture.read_bytes())
    same("different pictures by dcmj2pnm", len(pictures), 1)
    return f"dcmj2pnm: one picture from {len(task.samples)} encodings"


def gdcm_as_stored(task: Task) -> str:
    decoded = 0
    for sample in task.samples:
        path = _retrieved(task, sample, "*")
        if sample["name"] not in NOT_IN_GDCM:
            if "TransferSyntax" not in _run("gdcminfo", str(path)):
                raise Wrong(f"{sample['name']}: gdcminfo does not know what it is")
            _run("gdcmconv", "--raw", str(path), str(path.with_suffix(".native")))
            _same_pixels(sample, path.with_suffix(".native"))
            decoded += 1
    return f"gdcmconv --raw decoded {decoded} encodings"


def gdcm_explicit(task: Task) -> str:
    for sample in task.samples:
        path = _retrieved(task, sample, EXPLICIT)
        if "1.2.840.10008.1.2.1 " not in _run("gdcminfo", str(path)):
            raise Wrong(f"{sample['name']}: gdcminfo does not see Explicit VR Little Endian")
        _run("gdcmconv", "--rle", str(path), str(path.with_suffix(".rle")))
    return f"gdcminfo and gdcmconv read {len(task.samples)}"


def dciodvfy_finds_nothing_new(task: Task) -> str:
    for sample in [*task.samples, task.slide]:
        before = _complaints(Path(sample["path"]))
        for transfer_syntax in ("*", EXPLICIT):
            after = _complaints(_retrieved(task, sample, transfer_syntax))
            new = sorted(after - before)
            if new:
                raise Wrong(f"{sample['name']} as {transfer_syntax}: {new[:3]}")
    return f"{2 * len(task.samples) + 2} files, no new complaint"


def _complaints(path: Path) -> set[str]:
    """dciodvfy's lines; it ends with 1 where the file has errors, which are the original's."""
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, timeout=LIMIT_S, check=False)  # noqa: S603, S607 - the client
    if done.returncode < 0:
        raise Wrong(f"dciodvfy ended by signal {-done.returncode}")
    return {line for line in done.stderr.splitlines() if line.startswith(("Error", "Warning"))}


def _retrieved(task: Task, sample: dict[str, Any], transfer_syntax: str) -> Path:
    """The instance as a file, from a single part answer."""
    url = f"{task.base}/studies/{sample['study']}/series/{sample['series']}/instances/{sample['instance']}"
    kind = f'type="application/dicom"; transfer-syntax={transfer_syntax}'
    request = urllib.request.Request(url, headers={**task.headers, "Accept": f"multipart/related; {kind}"})  # noqa: S310 - the server under test
    with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:  # noqa: S310 - the user's URL
        boundary = answer.headers.get_param("boundary")
        body = answer.read()
    start = body.index(b"\r\n\r\n") + 4
    path = task.folder / f"{sample['name']}-{'stored' if transfer_syntax == '*' else 'explicit'}.dcm"
    path.write_bytes(body[start : body.rindex(f"\r\n--{boundary}--".encode())])
    return path


def _same_pixels(sample: dict[str, Any], path: Path) -> None:
    dataset = pydicom.dcmread(path)
    same(f"{sample['name']}: transfer syntax compressed", dataset.file_meta.TransferSyntaxUID.is_compressed, False)
    same(f"{sample['name']}: pixel sum", int(dataset.pixel_array.sum()), sample["pixel_sum"])


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=LIMIT_S, check=False)  # noqa: S603 - the client
    if done.returncode != 0:
        raise Wrong(f"{' '.join(command[:-1])}: exit {done.returncode}: {(done.stderr or done.stdout).strip()[-200:]}")
    return done.stdout


TOOLKITS = {
    "dcmtk": {
        "dump what was stored": dcmtk_as_stored,
        "decode what was stored": dcmtk_decodes,
        "render what comes as Explicit VR Little Endian": dcmtk_explicit,
    },
    "gdcm": {
        "identify and decode what was stored": gdcm_as_stored,
        "identify and encode what comes as Explicit VR Little Endian": gdcm_explicit,
    },
    "dicom3tools": {"validate what comes back against the original": dciodvfy_finds_nothing_new},
}

if __name__ == "__main__":
    run_steps(TOOLKITS[sys.argv[2]])
