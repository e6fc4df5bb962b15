"""Studies as FHIR R4 ImagingStudy, with the DICOMweb root as a contained Endpoint (Argonaut's SMART Imaging shape)."""

from collections.abc import Sequence
from typing import Any

from archive.index.reader import SeriesOverview, StudyOverview

_CONNECTION = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"
_DCM = "http://dicom.nema.org/resources/ontology/DCM"
_SMART = "http://hl7.org/fhir/smart-app-launch/CodeSystem/smart-imaging-access"
PATIENT_ID = "patient"


def bundle(overviews: Sequence[StudyOverview], root: str, kind: str = "searchset") -> dict[str, Any]:
    """The studies as a Bundle; `root` is the DICOMweb root that their Endpoint names."""
    entries = [{"resource": imaging_study(one, root)} for one in overviews]
    told: dict[str, Any] = {"resourceType": "Bundle", "type": kind, "entry": entries}
    if kind == "searchset":
        told["total"] = len(entries)
    return told


def imaging_study(overview: StudyOverview, root: str) -> dict[str, Any]:
    """One study. Absent values are left out, as FHIR asks."""
    endpoint = {
        "resourceType": "Endpoint",
        "id": "wado-rs",
        "extension": [{"url": f"{_SMART}/requires-access-token", "valueBoolean": False}],
        "status": "active",
        "connectionType": {"system": _CONNECTION, "code": "dicom-wado-rs"},
        "payloadType": [{"text": "DICOM"}],
        "payloadMimeType": ["application/dicom"],
        "address": root,
    }
    patient = {
        "resourceType": "Patient",
        "id": PATIENT_ID,
        "identifier": [{"value": overview.patient_id}] if overview.patient_id else None,
        "birthDate": _date(overview.patient_birth_date),
    }
    return _present(
        {
            "resourceType": "ImagingStudy",
            "id": overview.study_uid.replace(".", "-")[:64],
            "contained": [endpoint, _present(patient)],
            "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{overview.study_uid}"}],
            "status": "available",
            "subject": {"reference": f"#{PATIENT_ID}"},
            "started": _date(overview.study_date),
            "endpoint": [{"reference": "#wado-rs"}],
            "numberOfSeries": len(overview.series),
            "numberOfInstances": sum(len(series.instances) for series in overview.series),
            "description": overview.description,
            "modality": [{"system": _DCM, "code": modality} for modality in overview.modalities],
            "series": [_series(series) for series in overview.series],
        }
    )


def _series(series: SeriesOverview) -> dict[str, Any]:
    return _present(
        {
            "uid": series.series_uid,
            "number": int(series.number) if series.number.strip().isdecimal() else None,
            "modality": {"system": _DCM, "code": series.modality or "OT"},
            "description": series.description,
            "numberOfInstances": len(series.instances),
            "instance": [
                {
                    "uid": instance.instance_uid,
                    "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{instance.sop_class_uid}"},
                }
                for instance in series.instances
            ],
        }
    )


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, "", [])}


def _date(text: str) -> str | None:
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}" if len(text) == 8 and text.isdecimal() else None
