"""Outcomes → the Store Instances Response Module and its headers (PS3.18 §10.5.3, PS3.3 C.37)."""

from collections.abc import Mapping
from typing import Any

from archive.dicomweb.targets import InstanceTarget, PublicRoot, StudyTarget
from archive.dicomweb.warnings import warning_values
from archive.identifiers import StudyUID
from archive.instances import StoredInstance
from stow.outcome import FAILURE_REASONS, Failure, Outcome

ReferencedSOPClassUID = "00081150"
ReferencedSOPInstanceUID = "00081155"
RetrieveURL = "00081190"
WarningReason = "00081196"
FailureReason = "00081197"
FailedSOPSequence = "00081198"
ReferencedSOPSequence = "00081199"
OtherFailuresSequence = "0008119A"
TextValue = "0040A160"

Json = dict[str, dict[str, Any]]


def response_module(outcome: Outcome, root: PublicRoot, study_uid: StudyUID | None) -> Json:
    """The module as a DICOM JSON object, attributes ascending.

    A part that told no UIDs cannot stand in the Failed SOP Sequence; it stands in the Other Failures Sequence, which
    names it by its position in the request.
    """
    named = [failure for failure in outcome.failed if failure.instance_uid]
    nameless = [failure for failure in outcome.failed if not failure.instance_uid]
    study_url = _study_url(outcome, root, study_uid)
    module: Json = {RetrieveURL: {"vr": "UR", "Value": [study_url]} if study_url else {"vr": "UR"}}
    for tag, items in (
        (FailedSOPSequence, [_failed_item(failure) for failure in named]),
        (ReferencedSOPSequence, [_stored_item(instance, root) for instance in outcome.stored]),
        (OtherFailuresSequence, [_other_item(failure) for failure in nameless]),
    ):
        if items:
            module[tag] = {"vr": "SQ", "Value": items}
    return module


def response_headers(outcome: Outcome, root: PublicRoot, study_uid: StudyUID | None) -> Mapping[str, str]:
    """Location and Content-Location, where something new is there now (PS3.18 Table 10.5.3-2)."""
    study_url = _study_url(outcome, root, study_uid)
    if study_url is None or all(instance.already_there for instance in outcome.stored):
        return {}
    return {"Location": study_url, "Content-Location": study_url}


def response_warnings(outcome: Outcome, root: PublicRoot) -> list[str]:
    """Values of Warning: what failed, by position, and what was odd."""
    texts = [f"Part {failure.position} was not stored: {describe(failure)}" for failure in outcome.failed]
    texts += [
        f"{instance.instance_uid} was stored with warning {instance.warning_reason:04X}H"
        for instance in outcome.stored
        if instance.warning_reason is not None
    ]
    return warning_values(str(root), texts)


def describe(failure: Failure) -> str:
    """The failure in a sentence, with its code: `A900H Error: … . The instance is of another study …`."""
    meaning = FAILURE_REASONS.get(failure.reason)
    code = f"{failure.reason:04X}H" if meaning is None else f"{failure.reason:04X}H {meaning}"
    return f"{code}. {failure.message}"


def _study_url(outcome: Outcome, root: PublicRoot, study_uid: StudyUID | None) -> str | None:
    """Where all that was stored can be had; None where it is spread over studies, or nothing was stored."""
    studies = {instance.study_uid for instance in outcome.stored}
    if len(studies) != 1:
        return root.uri(StudyTarget(study_uid).path()) if study_uid is not None and studies else None
    return root.uri(StudyTarget(studies.pop()).path())


def _stored_item(instance: StoredInstance, root: PublicRoot) -> Json:
    target = InstanceTarget(instance.study_uid, instance.series_uid, instance.instance_uid)
    item = _reference(instance.sop_class_uid, instance.instance_uid)
    item[RetrieveURL] = {"vr": "UR", "Value": [root.uri(target.path())]}
    if instance.warning_reason is not None:
        item[WarningReason] = {"vr": "US", "Value": [instance.warning_reason]}
    return item


def _failed_item(failure: Failure) -> Json:
    item = _reference(failure.sop_class_uid, failure.instance_uid)
    item[FailureReason] = {"vr": "US", "Value": [failure.reason]}
    item[TextValue] = {"vr": "UT", "Value": [f"Part {failure.position}: {failure.message}"]}
    return item


def _other_item(failure: Failure) -> Json:
    text = f"Part {failure.position}: {failure.message}"
    return {
        FailureReason: {"vr": "US", "Value": [failure.reason]},
        TextValue: {"vr": "UT", "Value": [text]},
    }


def _reference(sop_class_uid: str, instance_uid: str) -> Json:
    sop_class: dict[str, Any] = {"vr": "UI", "Value": [sop_class_uid]} if sop_class_uid else {"vr": "UI"}
    return {
        ReferencedSOPClassUID: sop_class,
        ReferencedSOPInstanceUID: {"vr": "UI", "Value": [instance_uid]},
    }
