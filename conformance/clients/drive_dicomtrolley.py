"""dicomtrolley (PyPI): finding by QIDO-RS, downloading by WADO-RS and WADO-URI. Runs in that client's environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydicom
import requests
from dicomtrolley.core import QueryLevels  # type: ignore[import-not-found]  # only there
from dicomtrolley.qido_rs import HierarchicalQuery, QidoRS, RelationalQuery  # type: ignore[import-not-found]  # same
from dicomtrolley.trolley import Trolley  # type: ignore[import-not-found]  # same
from dicomtrolley.wado_rs import WadoRS, WadoRSMetaData  # type: ignore[import-not-found]  # same

from conformance.clients.task import Task, Wrong, run_steps, same


def find_study(task: Task) -> str:
    study = _find(task, QueryLevels.INSTANCE)
    same("Study Instance UID", str(study.uid), task.samples[0]["study"])
    same("series", [str(series.uid) for series in study.series], [task.samples[0]["series"]])
    got = {str(instance.uid) for series in study.series for instance in series.instances}
    same("SOP Instance UIDs", got, {sample["instance"] for sample in task.samples})
    return f"1 study, 1 series, {len(got)} instances"


def find_relationally(task: Task) -> str:
    query = RelationalQuery(query_level=QueryLevels.SERIES, PatientID=task.patient_id)
    studies = QidoRS(_session(task), task.base).find_studies(query)
    if task.samples[0]["series"] not in {str(series.uid) for study in studies for series in study.series}:
        raise Wrong("the stored series is not among those found")
    return f"{len(studies)} studies"


def download(task: Task) -> str:
    folder = task.folder / "trolley"
    trolley = Trolley(searcher=QidoRS(_session(task), task.base), downloader=WadoRS(_session(task), task.base))
    trolley.download(_find(task, QueryLevels.SERIES), folder)
    originals = {sample["instance"]: pydicom.dcmread(sample["path"]) for sample in task.samples}
    got = {str(dataset.SOPInstanceUID): dataset for dataset in map(pydicom.dcmread, _files(folder))}
    same("SOP Instance UIDs", set(got), set(originals))
    for uid, dataset in got.items():
        original = originals[uid]
        for keyword in ("PixelData", "PixelRepresentation"):
            delattr(dataset, keyword)
            delattr(original, keyword)
        same("elements", dataset.to_json(), original.to_json())
    return f"{len(got)} instances on the disk, each element equal"


def download_metadata(task: Task) -> str:
    study = _find(task, QueryLevels.INSTANCE)
    downloader = WadoRSMetaData(_session(task), task.base)
    instances = [instance for series in study.series for instance in series.instances]
    got = {str(dataset.SOPInstanceUID) for dataset in downloader.datasets(instances)}
    same("SOP Instance UIDs", got, {sample["instance"] for sample in task.samples})
    return f"{len(got)} instances"


def _find(task: Task, level: Any) -> Any:
    one = task.samples[0]
    uids = {"StudyInstanceUID": one["study"], "SeriesInstanceUID": one["series"]}
    if level == QueryLevels.SERIES:
        del uids["SeriesInstanceUID"]
    query = HierarchicalQuery(query_level=level, **uids)
    return QidoRS(_session(task), task.base).find_study(query)


def _session(task: Task) -> requests.Session:
    session = requests.Session()
    session.headers.update(task.headers)
    return session


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


if __name__ == "__main__":
    run_steps(
        {
            "find a study with its instances (QIDO-RS, hierarchical)": find_study,
            "find studies by Patient ID (QIDO-RS, relational)": find_relationally,
            "download a study to the disk (WADO-RS)": download,
            "download metadata (WADO-RS)": download_metadata,
        }
    )
