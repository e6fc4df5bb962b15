"""Which attribute belongs to which level of the information model, and which of them search knows.

PS3.18 Tables 10.6.1-5 (matching) and 10.6.3-3 to -5 (returned); what else stands at the study and series level is
that of the Patient, General Study, Patient Study, General Series and General Equipment modules (PS3.3 C.7.1 to C.7.5).
A test holds the table to pydicom's dictionary.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType


class Level(IntEnum):
    """Levels from the top; an attribute is given at its own level and below."""

    STUDY = 1
    SERIES = 2
    INSTANCE = 3


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute that has its place in the index. `required`: PS3.18 says that it can be matched."""

    tag: str
    keyword: str
    vr: str
    level: Level
    matched: bool = False
    required: bool = False


_TABLE = """
STUDY  00080020 StudyDate DA required
STUDY  00080030 StudyTime TM required
STUDY  00080050 AccessionNumber SH required
STUDY  00080061 ModalitiesInStudy CS required
STUDY  00080090 ReferringPhysicianName PN required
STUDY  00100010 PatientName PN required
STUDY  00100020 PatientID LO required
STUDY  0020000D StudyInstanceUID UI required
STUDY  00200010 StudyID SH required
STUDY  00081030 StudyDescription LO matched
STUDY  00100030 PatientBirthDate DA matched
STUDY  00100040 PatientSex CS matched
STUDY  00080201 TimezoneOffsetFromUTC SH -
STUDY  00080051 IssuerOfAccessionNumberSequence SQ -
STUDY  00081032 ProcedureCodeSequence SQ -
STUDY  00081048 PhysiciansOfRecord PN -
STUDY  00081060 NameOfPhysiciansReadingStudy PN -
STUDY  00081080 AdmittingDiagnosesDescription LO -
STUDY  00100021 IssuerOfPatientID LO -
STUDY  00100024 IssuerOfPatientIDQualifiersSequence SQ -
STUDY  00100032 PatientBirthTime TM -
STUDY  00101001 OtherPatientNames PN -
STUDY  00101002 OtherPatientIDsSequence SQ -
STUDY  00101010 PatientAge AS -
STUDY  00101020 PatientSize DS -
STUDY  00101030 PatientWeight DS -
STUDY  00102160 EthnicGroup SH -
STUDY  00104000 PatientComments LT -
STUDY  00102180 Occupation SH -
STUDY  001021B0 AdditionalPatientHistory LT -
STUDY  00380010 AdmissionID LO -
STUDY  00120062 PatientIdentityRemoved CS -
STUDY  00120063 DeidentificationMethod LO -
SERIES 00080060 Modality CS required
SERIES 0020000E SeriesInstanceUID UI required
SERIES 00200011 SeriesNumber IS required
SERIES 00400244 PerformedProcedureStepStartDate DA required
SERIES 00400245 PerformedProcedureStepStartTime TM required
SERIES 00400275 RequestAttributesSequence SQ required
SERIES 0008103E SeriesDescription LO matched
SERIES 00180015 BodyPartExamined CS matched
SERIES 00080021 SeriesDate DA -
SERIES 00080031 SeriesTime TM -
SERIES 00080070 Manufacturer LO -
SERIES 00080080 InstitutionName LO -
SERIES 00080081 InstitutionAddress ST -
SERIES 00081010 StationName SH -
SERIES 00081040 InstitutionalDepartmentName LO -
SERIES 00081050 PerformingPhysicianName PN -
SERIES 00081070 OperatorsName PN -
SERIES 00081090 ManufacturerModelName LO -
SERIES 00181000 DeviceSerialNumber LO -
SERIES 00181020 SoftwareVersions LO -
SERIES 00181030 ProtocolName LO -
SERIES 00185100 PatientPosition CS -
SERIES 00200060 Laterality CS -
SERIES 00400253 PerformedProcedureStepID SH -
SERIES 00400254 PerformedProcedureStepDescription LO -
SERIES 00400260 PerformedProtocolCodeSequence SQ -
INSTANCE 00080016 SOPClassUID UI required
INSTANCE 00080018 SOPInstanceUID UI required
INSTANCE 00200013 InstanceNumber IS required
INSTANCE 00080008 ImageType CS matched
INSTANCE 00080023 ContentDate DA matched
INSTANCE 00080033 ContentTime TM matched
INSTANCE 00280008 NumberOfFrames IS matched
INSTANCE 00280010 Rows US matched
INSTANCE 00280011 Columns US matched
INSTANCE 00280100 BitsAllocated US matched
"""


def _read_table() -> dict[str, Attribute]:
    attributes = {}
    for line in _TABLE.split("\n"):
        if line:
            level, tag, keyword, vr, role = line.split()
            required = role == "required"
            attributes[tag] = Attribute(tag, keyword, vr, Level[level], required or role == "matched", required)
    return attributes


ATTRIBUTES: Mapping[str, Attribute] = MappingProxyType(_read_table())
"""By tag: eight upper-case hexadecimal digits."""

STUDY_ATTRIBUTES: Mapping[str, Attribute] = MappingProxyType(
    {tag: attribute for tag, attribute in ATTRIBUTES.items() if attribute.level is Level.STUDY}
)
SERIES_ATTRIBUTES: Mapping[str, Attribute] = MappingProxyType(
    {tag: attribute for tag, attribute in ATTRIBUTES.items() if attribute.level is Level.SERIES}
)

SEQUENCE_PATHS: Mapping[str, Level] = MappingProxyType(
    {
        "00400275.00400009": Level.SERIES,  # RequestAttributesSequence.ScheduledProcedureStepID
        "00400275.00401001": Level.SERIES,  # RequestAttributesSequence.RequestedProcedureID
        "00400275.00080050": Level.SERIES,
        "00081032.00080100": Level.SERIES,  # ProcedureCodeSequence: a study's, found through each of its series
        "00081032.00080102": Level.SERIES,
        "00081032.00080104": Level.SERIES,
        "0040A043.00080100": Level.INSTANCE,  # ConceptNameCodeSequence
        "0040A043.00080102": Level.INSTANCE,
        "0040A043.00080104": Level.INSTANCE,
    }
)
"""Attributes inside sequences that search can match, and the level whose rows hold their values."""


def level_of(tag: str) -> Level:
    """The level of an attribute; whatever the table does not name is the instance's own."""
    attribute = ATTRIBUTES.get(tag)
    return Level.INSTANCE if attribute is None else attribute.level
