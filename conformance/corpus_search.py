"""Studies to search for: two of one patient, dates and times apart, many instances to page through."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from conformance.samples import Sample, Study, instance_of, new_uid, ramp, sample_of, set_pixels, set_raw

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
CR = "1.2.840.10008.5.1.4.1.1.1"
PAGED_STUDIES = 5
PAGED_INSTANCES = 9


def search_samples(token: str) -> list[Sample]:
    return [*_alpha(token), _beta(token), *_gamma(token), _delta(token), *_paging(token)]


def _alpha(token: str) -> list[Sample]:
    """Two series (5 CT, 3 MR), every key of Table 10.6.1-5 with a value."""
    study = Study(
        f"{token}-1",
        f"Muster{token}^Anna^Maria^Dr.^PhD",
        new_uid(),
        {
            "StudyDate": "20200115",
            "StudyTime": "101530.25",
            "AccessionNumber": f"{token}A1",
            "ReferringPhysicianName": f"Hausarzt{token}^Ida",
            "StudyID": f"{token}S1",
            "StudyDescription": "Head routine",
            "TimezoneOffsetFromUTC": "+0100",
            "PatientBirthDate": "19700131",
            "PatientSex": "F",
        },
    )
    made = []
    for modality, sop_class, count, number in (("CT", CT, 5, 1), ("MR", MR, 3, 2)):
        series_uid = new_uid()
        for index in range(count):
            request = Dataset()
            request.ScheduledProcedureStepID = f"{token}P{number}"
            request.RequestedProcedureID = f"{token}R{number}"
            dataset = instance_of(
                study,
                sop_class,
                SeriesInstanceUID=series_uid,
                Modality=modality,
                SeriesNumber=str(number),
                SeriesDescription=f"{modality} axial",
                InstanceNumber=str(index + 1),
                PerformedProcedureStepStartDate=f"2020011{4 + number}",
                PerformedProcedureStepStartTime=f"1{number}2000",
                RequestAttributesSequence=Sequence([request]),
                BodyPartExamined="HEAD",
                FrameOfReferenceUID=f"{study.uid[:40]}1",
                ImageComments=f"slice {index + 1}",
                BurnedInAnnotation="NO",
            )
            dataset.add_new(0x00110010, "LO", "CONFORMANCE SUITE")
            dataset.add_new(0x00111001, "LO", f"private {token}")
            array = ramp(8, 8, "<u2", start=1000 * number + 100 * index)
            set_pixels(dataset, array)
            made.append(
                sample_of(f"{modality.lower()}{index + 1}", dataset, frames=(array.tobytes(),), bytes_per_sample=2)
            )
    return made


def _beta(token: str) -> Sample:
    study = Study(
        f"{token}-1",
        f"Muster{token}^Anna^Maria^Dr.^PhD",
        new_uid(),
        {
            "StudyDate": "20200220",
            "StudyTime": "235959.5",
            "AccessionNumber": f"{token}A2",
            "ReferringPhysicianName": f"Klinik{token}^Otto",
            "StudyID": f"{token}S2",
            "PatientSex": "F",
            "StudyDescription": "Abdomen",
        },
    )
    dataset = instance_of(study, Modality="US", SeriesNumber="7")
    set_pixels(dataset, ramp(8, 8, "u1"))
    return sample_of("beta", dataset)


def _gamma(token: str) -> list[Sample]:
    """A study whose accession number is full of characters that a query must escape."""
    study = Study(
        f"{token}-2",
        f"Other{token}^Ben",
        new_uid(),
        {
            "StudyDate": "20210630",
            "StudyTime": "000000",
            "AccessionNumber": f"{token}+&/ %#=",
            "ReferringPhysicianName": f"Hausarzt{token}^Ida",
            "StudyID": f"{token}S3",
            "PatientSex": "M",
        },
    )
    series_uid = new_uid()
    made = []
    for index in range(2):
        dataset = instance_of(study, CR, SeriesInstanceUID=series_uid, Modality="CR", InstanceNumber=str(index + 1))
        set_pixels(dataset, ramp(8, 8, "u1", start=index))
        made.append(sample_of(f"gamma{index + 1}", dataset))
    return made


def _delta(token: str) -> Sample:
    """A study with empty and absent attributes, names in Latin-1 with diacritics."""
    study = Study(f"{token}-3", f"Müller{token}^Jürgen", new_uid(), {"StudyDate": "", "StudyTime": "", "StudyID": ""})
    dataset = instance_of(study, Modality="OT")
    dataset.SpecificCharacterSet = "ISO_IR 100"
    set_raw(dataset, 0x00100010, "PN", f"Müller{token}^Jürgen".encode("latin-1"))
    set_pixels(dataset, ramp(8, 8, "u1"))
    return sample_of("delta", dataset)


def _paging(token: str) -> list[Sample]:
    """Five studies of one patient; the first holds three series of three instances."""
    made = []
    for number in range(PAGED_STUDIES):
        study = Study(
            f"{token}-9",
            f"Paging{token}^Pia",
            new_uid(),
            {"StudyDate": f"2019030{number + 1}", "AccessionNumber": f"{token}G{number}", "StudyID": "P"},
        )
        series = [new_uid() for _ in range(3)] if number == 0 else [new_uid()]
        for at in range(PAGED_INSTANCES if number == 0 else 1):
            dataset = instance_of(
                study,
                SeriesInstanceUID=series[at % len(series)],
                Modality="OT",
                SeriesNumber=str(at % len(series) + 1),
                InstanceNumber=str(at + 1),
            )
            set_pixels(dataset, ramp(4, 4, "u1"))
            made.append(sample_of(f"page{number}-{at + 1}", dataset))
    return made
