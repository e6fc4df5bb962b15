"""The six search resources as clients meet them (PS3.18 §10.6, §8.3.4)."""

import gzip
from typing import Any
from urllib.parse import quote

import brotli
import orjson
import pytest
import sqlalchemy as sa
from search_builder import CT_CLASS, EXPLICIT_LE, SR_CLASS, IndexBuilder
from search_client import Searching, searching_in

from archive.database.index_tables import instance_metadata
from archive.identifiers import StudyUID
from archive.scope import Scope

PHANTOM = {
    "PatientName": "Phantom^Head=頭^模型", "PatientID": "P-1", "AccessionNumber": "A/1", "StudyDate": "20240105",
    "StudyTime": "101500", "StudyDescription": "Head & neck", "ReferringPhysicianName": "Who^Doctor",
    "TimezoneOffsetFromUTC": "+0100", "SeriesNumber": 2, "InstanceNumber": 7, "Rows": 512, "Columns": 256,
    "BitsAllocated": 16, "SeriesDescription": "Axial", "BodyPartExamined": "HEAD", "PatientBirthDate": "19700101",
    "RequestAttributesSequence": [{"00400009:SH": "SPS1", "00401001:SH": "RP1", "00321060:LO": "Head"}],
    "00290010:LO": "ACME 1.0", "00291001:LO": "private", "00180050:DS": 1.5, "00080005:CS": "ISO_IR 100",
    "0040A730:SQ": [{"0040A160:UT": "text"}], "ImageType": ["ORIGINAL", "PRIMARY"],
}  # fmt: skip


@pytest.fixture(autouse=True)
def stored(index: IndexBuilder) -> None:
    index.add("1", "1", "1", **PHANTOM)
    index.add("1", "2", "1", Modality="MR", SeriesNumber=3)
    index.add("2", "1", "1", PatientName="Doe^Jane", PatientID="P-2", StudyDate="20230101", Modality="")


def value(found: dict[str, Any], tag: str) -> Any:
    return found[tag]["Value"][0]


# --- what is answered -----------------------------------------------------------------------------------------------


async def test_a_study_is_answered_with_all_of_its_table(searching: Searching) -> None:
    newest, older = await searching.objects("/studies")
    assert list(newest) == sorted(newest)
    assert newest.keys() == {
        "00080020", "00080030", "00080050", "00080056", "00080061", "00080090", "00080201", "00081190", "00100010",
        "00100020", "00100030", "00100040", "0020000D", "00200010", "00201206", "00201208",
    }  # fmt: skip
    assert newest["00080061"]["Value"] == ["CT", "MR"]
    assert (value(newest, "00201206"), value(newest, "00201208")) == (2, 2)
    assert value(newest, "00100010") == {"Alphabetic": "Phantom^Head", "Ideographic": "頭^模型"}
    assert value(newest, "00081190") == "https://images.example.org/dicom-web/studies/1.2.1"
    assert value(newest, "00080056") == "ONLINE"
    assert newest["00200010"] == {"vr": "SH"}
    assert "00080061" not in older, "viewers stumble over an empty ModalitiesInStudy"
    assert "00080201" not in older


async def test_series_of_a_study_are_answered_with_their_table(searching: Searching) -> None:
    first, second = await searching.objects("/studies/1.2.1/series")
    assert value(first, "0020000D") == "1.2.1"
    assert (value(first, "00080060"), value(first, "00200011"), value(first, "00201209")) == ("CT", 2, 1)
    assert value(first, "00400275")["00400009"] == {"vr": "SH", "Value": ["SPS1"]}
    assert value(first, "00081190").endswith("/studies/1.2.1/series/1.2.1.1")
    assert value(first, "00080201") == "+0100"
    assert not {"00100010", "00080020", "00201206"} & first.keys()
    assert "00400275" not in second


async def test_instances_of_a_series_are_answered_with_their_table(searching: Searching) -> None:
    (found,) = await searching.objects("/studies/1.2.1/series/1.2.1.1/instances")
    assert value(found, "00080016") == CT_CLASS
    assert [value(found, tag) for tag in ("00200013", "00280010", "00280011", "00280100")] == [7, 512, 256, 16]
    assert value(found, "00083002") == EXPLICIT_LE
    assert value(found, "00081190").endswith("/studies/1.2.1/series/1.2.1.1/instances/1.2.1.1.1")
    assert value(found, "00080201") == "+0100"
    assert not {"00280008", "00080060", "00100010", "00180050"} & found.keys()


async def test_all_series_and_all_instances_bring_the_attributes_above_them(searching: Searching) -> None:
    series = (await searching.objects("/series"))[0]
    assert (value(series, "00100020"), value(series, "00201208"), value(series, "00080060")) == ("P-1", 2, "CT")
    instance = (await searching.objects("/instances"))[0]
    assert (value(instance, "00100020"), value(instance, "00080060")) == ("P-1", "CT")
    of_study = (await searching.objects("/studies/1.2.1/instances"))[0]
    assert value(of_study, "00080060") == "CT"
    assert "00100020" not in of_study


async def test_no_match_is_an_empty_list(searching: Searching) -> None:
    for path in ("/studies?PatientID=nobody", "/studies/1.2.99/series", "/studies/1.2.99/series/1.2/instances"):
        response = await searching.get(path)
        assert (response.status, await response.read()) == (200, b"[]")


async def test_no_match_can_be_set_to_204(index: IndexBuilder) -> None:
    async with searching_in(index, no_match_is_204=True) as searching:
        response = await searching.get("/studies?PatientID=nobody")
        assert (response.status, await response.read()) == (204, b"")


async def test_below_a_share_every_uri_is_of_that_share(searching: Searching) -> None:
    response = await searching.get("/studies", root="/s/abc/dicom-web")
    found = await response.json(content_type=None)
    assert value(found[0], "00081190") == "https://images.example.org/s/abc/dicom-web/studies/1.2.1"


# --- keys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "PatientName=phantom^head", "PatientName=*PHANTOM*", "00100010=Phantom%5EHead", "PatientName=%E9%A0%AD*",
        "00100020=P-1", "00100020=*-1*", "PatientID=P?1", "AccessionNumber=A%2F1", "AccessionNumber=*%2F*",
        "StudyDescription=Head%20%26%20neck", "StudyDescription=Head+%26+neck", "StudyDate=20240105",
        "StudyDate=20240101-20240131", "StudyDate=20240101-", "StudyTime=10",
        "StudyDate=20230102-20240105&StudyTime=0000-1020",
        "StudyTime=1000-1100", "StudyInstanceUID=1.2.1", "0020000d=1.2.1%2C1.2.77", "StudyInstanceUID=1.2.1%5C1.2.3",
        "ModalitiesInStudy=CT", "ModalitiesInStudy=M*", "ModalitiesInStudy=MR%5CUS", "ModalitiesInStudy=MR,US",
        "ReferringPhysicianName=who*", "PatientBirthDate=19700101", "SeriesDescription=Axial", "Modality=MR",
        "RequestAttributesSequence.ScheduledProcedureStepID=SPS1", "00400275.00401001=RP*", "SOPClassesInStudy="
        + CT_CLASS + "&PatientID=P-1", "&PatientID=P-1", "PatientID=P-1&&", "PatientID=*&AccessionNumber=A*",
        "fuzzymatching=true&PatientName=Head%20Fantom",
        "StudyDate=20240105&StudyTime=0915&TimezoneOffsetFromUTC=%2B0000",
        "StudyDate=20240105&StudyTime=0915&TimezoneOffsetFromUTC=+0000",
        "multiplevaluematching=true&ModalitiesInStudy=MR%5CCT", "emptyvaluematching=true&StudyID=%22%22&PatientID=P-1",
    ],
)  # fmt: skip
async def test_a_key_finds_the_study_and_no_other(searching: Searching, query: str) -> None:
    assert await searching.uids(f"/studies?{query}") == ["1"]
    assert await searching.warnings(f"/studies?{query}") == []


@pytest.mark.parametrize(
    "query",
    [
        "PatientName=phantom", "PatientName=Head*", "PatientID=p-1", "PatientID=P%", "PatientID=P_1",
        "StudyTime=1100-", "StudyDate=20240106-", "StudyDate=20240105-&StudyTime=1016-", "ModalitiesInStudy=ct",
        "multiplevaluematching=true&ModalitiesInStudy=MR%5CPT",
        "emptyvaluematching=true&AccessionNumber=%22%22&PatientID=P-1",
        "AccessionNumber=%22%22", "RequestAttributesSequence.ScheduledProcedureStepID=SPS2", "PatientID=%2A-9",
    ],
)  # fmt: skip
async def test_a_key_that_does_not_match_finds_nothing(searching: Searching, query: str) -> None:
    assert await searching.uids(f"/studies?{query}") == []


async def test_empty_values_and_stars_match_everything_and_are_returned(searching: Searching) -> None:
    for query in ("StudyDescription=", "StudyDescription=*", "StudyDescription"):
        found = await searching.objects(f"/studies?{query}")
        assert len(found) == 2
        assert value(found[0], "00081030") == "Head & neck"


async def test_what_viewers_ask_for_is_found(searching: Searching) -> None:
    ohif = (
        "/studies?limit=101&offset=0&fuzzymatching=false&includefield=00081030%2C00080060%2C00080090%2C00100030"
        "&PatientName=*Phantom*&00100020=*P-1*"
    )
    assert await searching.uids(ohif) == ["1"]
    assert await searching.uids("/studies/1.2.1/series?includefield=0008103E,00080021&SeriesInstanceUID=1.2.1.2") == [
        "1.2"
    ]
    weasis = "/studies?&includefield=00080020,00080030,00080050,00080061,00081030,00100021&limit=10&offset=0"
    assert await searching.uids(weasis) == ["1", "2"]


async def test_a_parent_and_a_key_of_another_are_nothing(searching: Searching) -> None:
    assert await searching.uids("/studies/1.2.1/series?StudyInstanceUID=1.2.2") == []
    assert await searching.uids("/studies/1.2.2/series/1.2.1.1/instances") == []


async def test_attributes_kept_with_the_instance_alone_are_matched_within_a_study(searching: Searching) -> None:
    assert await searching.uids("/studies/1.2.1/instances?SliceThickness=1.50") == ["1.1.1"]
    assert await searching.uids("/studies/1.2.1/instances?0040A730.0040A160=te*") == ["1.1.1"]
    assert await searching.uids("/studies/1.2.1/instances?SliceThickness=2") == []
    assert "cannot be matched here" in (await searching.warnings("/instances?SliceThickness=1.5"))[0]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("20240105103000", ["2.3.1"]),
        ("20240105", ["2.3.1", "2.3.2"]),
        ("202401", ["2.3.1", "2.3.2"]),
        ("20240105093000%2B0000", ["2.3.1", "2.3.2"]),
        ("20240105043000-0500", ["2.3.1", "2.3.2"]),
        ("20240105043000-0500-20240105043000-0500", ["2.3.1", "2.3.2"]),
        ("20240105093000%2B0000-20240105093001", ["2.3.1", "2.3.2"]),
        ("-20240105092959%2B0000", []),
        ("2025-", []),
        ("20240101-2025", ["2.3.1", "2.3.2"]),
    ],
)
async def test_dates_with_times_are_matched_across_zones(
    searching: Searching, index: IndexBuilder, value: str, found: list[str]
) -> None:
    index.add("2", "3", "1", TimezoneOffsetFromUTC="+0100", **{"0008002A:DT": "20240105103000"})
    index.add("2", "3", "2", **{"0008002A:DT": "20240105113000.000+0200"})
    assert await searching.uids(f"/studies/1.2.2/instances?AcquisitionDateTime={value}") == found


# --- what is ignored, and what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("NoSuchAttribute=1", "NoSuchAttribute"),
        ("00189999=1", "00189999"),
        ("patientname=x", "patientname"),
        ("00291001=x", "00291001"),
        ("NumberOfStudyRelatedInstances=1", "NumberOfStudyRelatedInstances"),
        ("PixelData=1", "PixelData"),
        ("includefield=Nonsense", "Nonsense"),
        ("PatientID.StudyDate=1", "PatientID.StudyDate"),
        ("%3Cscript%3E=1", "?script?"),
    ],
)
async def test_what_cannot_be_matched_is_ignored_and_told(searching: Searching, query: str, name: str) -> None:
    assert len(await searching.uids(f"/studies?{query}")) == 2
    (warning,) = await searching.warnings(f"/studies?{query}")
    assert warning.startswith("299 https://images.example.org/dicom-web: ")
    assert name in warning
    assert "ignored" in warning


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("limit=1&limit=2", "limit"),
        ("limit=", "limit"),
        ("offset=1.5", "offset"),
        ("offset=%D9%A3", "offset"),
        ("fuzzymatching=yes", "fuzzymatching"),
        ("emptyvaluematching=", "emptyvaluematching"),
        ("multiplevaluematching=TRUE", "multiplevaluematching"),
        ("StudyDate=2024", "StudyDate"),
        ("StudyDate=20240230", "StudyDate"),
        ("StudyDate=20240131-20240101", "StudyDate"),
        ("StudyDate=-", "StudyDate"),
        ("StudyDate=2024*", "StudyDate"),
        ("00080030=2500", "00080030"),
        ("StudyTime=10:00-x", "StudyTime"),
        ("StudyInstanceUID=1.2.*", "StudyInstanceUID"),
        ("StudyInstanceUID=,", "StudyInstanceUID"),
        ("SeriesNumber=one", "SeriesNumber"),
        ("SeriesNumber=nan", "SeriesNumber"),
        ("TimezoneOffsetFromUTC=CET", "TimezoneOffsetFromUTC"),
        ("PatientID=a&PatientID=b", "PatientID"),
        ("PatientID=a&00100020=a", "00100020"),
        ("PatientID=%00", "PatientID"),
        ("PatientID=%FF", "query"),
        ("PatientID=" + "x" * 1025, "PatientID"),
        ("multiplevaluematching=true&ModalitiesInStudy=C*%5CMR", "ModalitiesInStudy"),
        ("charset=latin-1", "charset"),
        ("&".join(f"a{number}=1" for number in range(501)), "query"),
    ],
)
async def test_what_is_malformed_is_refused_by_name(searching: Searching, query: str, parameter: str) -> None:
    assert await searching.refused(f"/studies?{query}") == parameter


async def test_a_path_with_what_is_no_uid_is_refused(searching: Searching) -> None:
    assert await searching.refused("/studies/nonsense/series") == "StudyInstanceUID"


# --- includefield ---------------------------------------------------------------------------------------------------


async def test_includefield_takes_tags_keywords_paths_lists_and_repeats(searching: Searching) -> None:
    query = "includefield=00081030,PatientBirthDate&includefield=StudyID&includefield=SeriesDescription"
    (found, _) = await searching.objects(f"/studies?{query}")
    assert value(found, "00081030") == "Head & neck"
    assert "0008103E" not in found, "an attribute of a lower level"
    series = (await searching.objects("/studies/1.2.1/series?includefield=PatientName,BodyPartExamined"))[0]
    assert (value(series, "00100010")["Alphabetic"], value(series, "00180015")) == ("Phantom^Head", "HEAD")


async def test_includefield_all_brings_all_of_the_level(searching: Searching) -> None:
    study = (await searching.objects("/studies?includefield=all"))[0]
    assert {"00081030", "00100030", "00080062"} <= study.keys()
    assert not {"0008103E", "00180050"} & study.keys()
    instance = (await searching.objects("/studies/1.2.1/series/1.2.1.1/instances?includefield=all"))[0]
    assert value(instance, "00180050") == 1.5
    assert value(instance, "00080005") == "ISO_IR 100", "as the source was coded (§10.6, Specific Character Set)"
    assert value(instance, "00291001") == "private"


async def test_a_dotted_includefield_brings_that_part_of_the_sequence(searching: Searching) -> None:
    path = "/studies/1.2.1/instances?includefield=0040A730.0040A160"
    instance = (await searching.objects(path))[0]
    assert instance["0040A730"] == {"vr": "SQ", "Value": [{"0040A160": {"vr": "UT", "Value": ["text"]}}]}


async def test_a_private_includefield_comes_with_its_creator(searching: Searching) -> None:
    series = "/studies/1.2.1/series/1.2.1.1/instances"
    (found,) = await searching.objects(f"{series}?includefield=00291001")
    assert (value(found, "00290010"), value(found, "00291001")) == ("ACME 1.0", "private")
    (moved,) = await searching.objects(f"{series}?00290011={quote('ACME 1.0')}&includefield=00291101")
    assert value(moved, "00291001") == "private"
    (other,) = await searching.objects(f"{series}?00290010=OTHER&includefield=00291001")
    assert not {"00290010", "00291001"} & other.keys()


async def test_bulk_data_uris_lie_under_the_root_of_the_request(searching: Searching, index: IndexBuilder) -> None:
    document = {"00282000": {"vr": "OB", "BulkDataURI": "/studies/1.2.1/series/1.2.1.1/instances/1/bulkdata/00282000"}}
    with index.engine.begin() as connection:
        connection.execute(sa.update(instance_metadata).values(document=orjson.dumps(document)))
    (found,) = await searching.objects("/studies/1.2.1/series/1.2.1.1/instances?includefield=ICCProfile")
    assert found["00282000"]["BulkDataURI"].startswith("https://images.example.org/dicom-web/studies/1.2.1/")


# --- pages, codings, forms --------------------------------------------------------------------------------------------


async def test_a_page_says_how_much_more_there_is(searching: Searching) -> None:
    assert await searching.uids("/studies?limit=1") == ["1"]
    assert await searching.warnings("/studies?limit=1") == [
        "299 https://images.example.org/dicom-web: There are 1 additional results that can be requested"
    ]
    assert await searching.uids("/studies?limit=1&offset=1") == ["2"]
    assert await searching.warnings("/studies?limit=1&offset=1") == []
    assert await searching.uids("/studies?limit=0") == []
    assert "There are 2 additional" in (await searching.warnings("/studies?limit=0"))[0]
    assert await searching.uids("/studies?limit=999999999&offset=999999999") == []


async def test_xml_comes_in_parts_one_for_each_match(searching: Searching) -> None:
    response = await searching.get("/studies", Accept='multipart/related; type="application/dicom+xml"')
    assert response.status == 200
    assert response.headers["Content-Type"].startswith('multipart/related; type="application/dicom+xml"')
    body = await response.text()
    assert body.count("<NativeDicomModel") == 2
    assert 'keyword="PatientName"' in body
    empty = await searching.get("/studies?PatientID=x", Accept='multipart/related; type="application/dicom+xml"')
    assert empty.status == 204


async def test_accept_is_negotiated(searching: Searching) -> None:
    for accept, status in (
        ("application/dicom+json", 200), ("*/*", 200), ("application/json", 200), ("image/png", 406),
        ("application/dicom+json;q=0", 406),
    ):  # fmt: skip
        assert (await searching.get("/studies", Accept=accept)).status == status
    by_query = await searching.get("/studies?accept=application/dicom%2Bjson", Accept="image/png")
    assert (by_query.status, by_query.content_type) == (200, "application/dicom+json")


@pytest.mark.parametrize(("coding", "undo"), [("gzip", gzip.decompress), ("br", brotli.decompress)])
async def test_answers_are_compressed_for_those_who_take_it(
    searching: Searching, index: IndexBuilder, coding: str, undo: Any
) -> None:
    for number in range(10, 20):
        index.add(str(number))
    response = await searching.client.get(
        "/dicom-web/studies", headers={"Accept-Encoding": coding}, auto_decompress=False
    )
    assert response.headers["Content-Encoding"] == coding
    assert len(orjson.loads(undo(await response.read()))) == 12


async def test_an_answer_that_the_client_has_is_not_sent_again(searching: Searching, index: IndexBuilder) -> None:
    first = await searching.get("/studies")
    again = await searching.get("/studies", If_None_Match=first.headers["ETag"])
    assert again.status == 304
    index.add("3")
    assert (await searching.get("/studies", If_None_Match=first.headers["ETag"])).status == 200


async def test_head_is_answered_like_get_without_a_body(searching: Searching) -> None:
    response = await searching.client.head("/dicom-web/studies")
    assert (response.status, await response.read()) == (200, b"")
    assert int(response.headers["Content-Length"]) > 100


# --- scope ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/studies", "/series", "/instances", "/studies/1.2.1/series", "/studies/1.2.1/instances",
        "/studies/1.2.1/series/1.2.1.1/instances", "/studies?StudyInstanceUID=1.2.1", "/studies?PatientName=*phantom*",
        "/series?Modality=CT&PatientID=P-1", "/instances?SOPInstanceUID=1.2.1.1.1", "/studies?limit=0",
        "/studies?fuzzymatching=true&PatientName=Phantom", "/studies?emptyvaluematching=true&StudyID=%22%22",
    ],
)  # fmt: skip
async def test_a_share_cannot_find_a_study_outside_its_scope(searching: Searching, path: str) -> None:
    searching.scope = Scope.studies(StudyUID("1.2.2"))
    assert all(value(found, "0020000D") == "1.2.2" for found in await searching.objects(path))
    assert "additional" not in "".join(await searching.warnings(path)).replace("There are 1 additional", "")


async def test_a_share_without_reports_has_no_trace_of_them(searching: Searching, index: IndexBuilder) -> None:
    index.add("1", "9", "1", Modality="SR", SOPClassUID=SR_CLASS)
    searching.scope = Scope(frozenset({StudyUID("1.2.1")}), with_reports=False)
    (study,) = await searching.objects("/studies?includefield=all")
    assert study["00080061"]["Value"] == ["CT", "MR"]
    assert (value(study, "00201206"), value(study, "00201208")) == (2, 2)
    assert SR_CLASS not in study["00080062"]["Value"]
    assert await searching.uids("/studies/1.2.1/series") == ["1.1", "1.2"]
