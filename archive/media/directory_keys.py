"""Which attributes a directory record repeats from its instance (PS3.3 F.5), and what stands in for a missing one."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydicom import uid


@dataclass(frozen=True, slots=True)
class Keys:
    """Keywords of a record type. A `required` one (type 1) that the instance lacks is invented, in the record only."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


_CONTENT = ("InstanceNumber", "ContentDate", "ContentTime")
_IDENTIFIED = Keys((*_CONTENT, "ContentLabel"), ("ContentDescription", "ContentCreatorName"))

RECORD_KEYS: Mapping[str, Keys] = {
    "PATIENT": Keys(("PatientID",), ("PatientName", "PatientBirthDate", "PatientSex")),
    "STUDY": Keys(
        ("StudyDate", "StudyTime", "StudyInstanceUID", "StudyID"),
        ("StudyDescription", "AccessionNumber", "ReferringPhysicianName"),
    ),
    "SERIES": Keys(
        ("Modality", "SeriesInstanceUID", "SeriesNumber"), ("SeriesDescription", "SeriesDate", "BodyPartExamined")
    ),
    "IMAGE": Keys(("InstanceNumber",), ("ImageType", "Rows", "Columns", "NumberOfFrames", "ContentDate")),
    "SR DOCUMENT": Keys(
        (*_CONTENT, "CompletionFlag", "VerificationFlag", "ConceptNameCodeSequence"),
        ("VerificationDateTime",),
    ),
    "KEY OBJECT DOC": Keys((*_CONTENT, "ConceptNameCodeSequence")),
    "PRESENTATION": Keys(
        ("InstanceNumber", "PresentationCreationDate", "PresentationCreationTime", "ContentLabel"),
        ("ContentDescription", "ContentCreatorName", "ReferencedSeriesSequence", "BlendingSequence"),
    ),
    "ENCAP DOC": Keys(
        ("InstanceNumber", "MIMETypeOfEncapsulatedDocument"),
        ("ContentDate", "ContentTime", "DocumentTitle", "HL7InstanceIdentifier", "ConceptNameCodeSequence"),
    ),
    "RT DOSE": Keys(("InstanceNumber", "DoseSummationType"), ("DoseComment",)),
    "RT STRUCTURE SET": Keys(("InstanceNumber", "StructureSetLabel"), ("StructureSetDate", "StructureSetTime")),
    "RT PLAN": Keys(("InstanceNumber", "RTPlanLabel"), ("RTPlanDate", "RTPlanTime")),
    "RT TREAT RECORD": Keys(("InstanceNumber",), ("TreatmentDate", "TreatmentTime")),
    "WAVEFORM": Keys(_CONTENT),
    "SPECTROSCOPY": Keys(
        ("ImageType", *_CONTENT, "NumberOfFrames", "Rows", "Columns", "DataPointRows", "DataPointColumns")
    ),
    "RAW DATA": Keys(("ContentDate", "ContentTime"), ("InstanceNumber",)),
    "REGISTRATION": _IDENTIFIED,
    "FIDUCIAL": _IDENTIFIED,
    "VALUE MAP": _IDENTIFIED,
    "STEREOMETRIC": _IDENTIFIED,
    "MEASUREMENT": Keys(_CONTENT),
    "SURFACE": Keys(_CONTENT),
    "RADIOTHERAPY": Keys(("InstanceNumber",), ("UserContentLabel", "UserContentLongLabel")),
    "PLAN": Keys(),
    "SURFACE SCAN": Keys(("ContentDate", "ContentTime")),
}
KEYWORDS = frozenset(keyword for keys in RECORD_KEYS.values() for keyword in (*keys.required, *keys.optional)) | {
    "SOPClassUID",
    "SOPInstanceUID",
}

INVENTED: Mapping[str, object] = {
    "PatientID": "NO ID",
    "StudyDate": "19000101",
    "StudyTime": "000000",
    "StudyID": "1",
    "Modality": "OT",
    "ContentDate": "19000101",
    "ContentTime": "000000",
    "PresentationCreationDate": "19000101",
    "PresentationCreationTime": "000000",
    "CompletionFlag": "PARTIAL",
    "VerificationFlag": "UNVERIFIED",
    "ContentLabel": "UNNAMED",
    "DoseSummationType": "PLAN",
    "StructureSetLabel": "UNNAMED",
    "RTPlanLabel": "UNNAMED",
    "MIMETypeOfEncapsulatedDocument": "application/octet-stream",
    "ImageType": ["ORIGINAL", "PRIMARY"],
    "NumberOfFrames": 1,
    "Rows": 1,
    "Columns": 1,
    "DataPointRows": 1,
    "DataPointColumns": 1,
}
"""What a record says where its instance says nothing. Numbers are counted, a title is "Document"."""

RECORD_TYPE_OF_CLASS: Mapping[str, str] = {
    uid.RTDoseStorage: "RT DOSE",
    uid.RTStructureSetStorage: "RT STRUCTURE SET",
    uid.RTPlanStorage: "RT PLAN",
    uid.RTIonPlanStorage: "RT PLAN",
    uid.RTBeamsTreatmentRecordStorage: "RT TREAT RECORD",
    uid.RTIonBeamsTreatmentRecordStorage: "RT TREAT RECORD",
    uid.RTBrachyTreatmentRecordStorage: "RT TREAT RECORD",
    uid.RTTreatmentSummaryRecordStorage: "RT TREAT RECORD",
    uid.KeyObjectSelectionDocumentStorage: "KEY OBJECT DOC",
    uid.MRSpectroscopyStorage: "SPECTROSCOPY",
    uid.RawDataStorage: "RAW DATA",
    uid.SpatialRegistrationStorage: "REGISTRATION",
    uid.DeformableSpatialRegistrationStorage: "REGISTRATION",
    uid.SpatialFiducialsStorage: "FIDUCIAL",
    uid.RealWorldValueMappingStorage: "VALUE MAP",
    uid.StereometricRelationshipStorage: "STEREOMETRIC",
    uid.SurfaceSegmentationStorage: "SURFACE",
    uid.SurfaceScanMeshStorage: "SURFACE SCAN",
    uid.SurfaceScanPointCloudStorage: "SURFACE SCAN",
}
_FAMILIES = (
    ("1.2.840.10008.5.1.4.1.1.88.", "SR DOCUMENT"),
    ("1.2.840.10008.5.1.4.1.1.11.", "PRESENTATION"),
    ("1.2.840.10008.5.1.4.1.1.104.", "ENCAP DOC"),
    ("1.2.840.10008.5.1.4.1.1.9.", "WAVEFORM"),
    ("1.2.840.10008.5.1.4.1.1.78.", "MEASUREMENT"),
    ("1.2.840.10008.5.1.4.1.1.481.", "RADIOTHERAPY"),
    ("1.2.840.10008.5.1.4.34.", "PLAN"),
)


def record_type_of(sop_class_uid: str) -> str:
    """The type of an instance's record (PS3.3 Table F.4-1); what is nothing else is an IMAGE."""
    if sop_class_uid in RECORD_TYPE_OF_CLASS:
        return RECORD_TYPE_OF_CLASS[sop_class_uid]
    if sop_class_uid.startswith("1.2.840.10008.5.1.4.1.1.481.1") and sop_class_uid.endswith("481.1"):
        return "IMAGE"  # RT Image
    return next((kind for family, kind in _FAMILIES if sop_class_uid.startswith(family)), "IMAGE")
