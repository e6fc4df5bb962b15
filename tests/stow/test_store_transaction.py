"""POST /studies: the truth table, the response, and every kind of bad body."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient
from dicomweb_client import DICOMwebClient
from pydicom import Dataset

from stow.parts import StowLimits

StowClient = TestClient[web.Request, web.Application]
FakeIngest = Any  # the one of conftest.py, which cannot be imported by name
ROOT = "https://pacs.example/dicom-web"
DICOM = "application/dicom"
RELATED = 'multipart/related; type="application/dicom"; boundary=XX'
ONE, TWO, OTHER = b"1.1/1.2/1.3/1.9", b"1.1/1.2/1.4/1.9", b"2.1/2.2/2.3/1.9"


def body_of(contents: Sequence[bytes], *, content_type: str = DICOM, close: bool = True) -> bytes:
    parts = b"".join(f"--XX\r\nContent-Type: {content_type}\r\n\r\n".encode() + c + b"\r\n" for c in contents)
    return parts + (b"--XX--\r\n" if close else b"")


async def post(
    stow: StowClient, *contents: bytes, path: str = "/studies", body: bytes | None = None, **headers: str
) -> ClientResponse:
    data = body_of(contents) if body is None else body
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return await stow.post(f"/dicom-web{path}", data=data, headers={"Content-Type": RELATED, **names})


async def module_of(response: ClientResponse) -> dict[str, Any]:
    return await response.json(content_type="application/dicom+json")  # type: ignore[no-any-return]  # it is JSON


def reasons(module: dict[str, Any]) -> list[int]:
    items = [*module.get("00081198", {}).get("Value", []), *module.get("0008119A", {}).get("Value", [])]
    return [item["00081197"]["Value"][0] for item in items]


def stored(module: dict[str, Any]) -> list[str]:
    return [item["00081155"]["Value"][0] for item in module.get("00081199", {}).get("Value", [])]


async def test_all_stored_is_200_with_where_each_instance_can_be_had(stow: StowClient, ingest: FakeIngest) -> None:
    response = await post(stow, ONE, TWO)
    assert response.status == 200
    assert await module_of(response) == {
        "00081190": {"vr": "UR", "Value": [f"{ROOT}/studies/1.1"]},
        "00081199": {
            "vr": "SQ",
            "Value": [
                {
                    "00081150": {"vr": "UI", "Value": ["1.9"]},
                    "00081155": {"vr": "UI", "Value": [instance]},
                    "00081190": {"vr": "UR", "Value": [f"{ROOT}/studies/1.1/series/1.2/instances/{instance}"]},
                }
                for instance in ("1.3", "1.4")
            ],
        },
    }
    assert response.headers["Location"] == response.headers["Content-Location"] == f"{ROOT}/studies/1.1"
    assert "Warning" not in response.headers
    assert ingest.indexed == {"1.3": ONE, "1.4": TWO}
    assert ingest.by == {"scanner"}


async def test_each_empty_body_of_a_process_is_refused(stow: StowClient) -> None:
    for _ in range(3):
        response = await post(stow, body=b"")
        assert response.status == 400


async def test_two_studies_in_one_request_leave_the_url_of_the_study_empty(stow: StowClient) -> None:
    response = await post(stow, ONE, OTHER)
    assert response.status == 200
    assert (await module_of(response))["00081190"] == {"vr": "UR"}
    assert "Location" not in response.headers


async def test_the_same_bytes_again_are_200_and_nothing_new(stow: StowClient) -> None:
    await post(stow, ONE)
    response = await post(stow, ONE)
    assert response.status == 200
    assert stored(await module_of(response)) == ["1.3"]
    assert "Location" not in response.headers


async def test_other_bytes_under_a_known_uid_are_a_conflict_that_is_named(stow: StowClient, ingest: FakeIngest) -> None:
    await post(stow, ONE)
    response = await post(stow, ONE + b"/changed")
    assert response.status == 409
    (failed,) = (await module_of(response))["00081198"]["Value"]
    assert failed["00081155"]["Value"] == ["1.3"]
    assert failed["00081150"]["Value"] == ["1.9"]
    assert failed["00081197"]["Value"] == [0x0111]
    assert ingest.indexed["1.3"] == ONE


async def test_an_instance_of_another_study_fails_alone(stow: StowClient, ingest: FakeIngest) -> None:
    response = await post(stow, ONE, OTHER, TWO, path="/studies/1.1")
    assert response.status == 202
    module = await module_of(response)
    assert stored(module) == ["1.3", "1.4"]
    assert reasons(module) == [0xA900]
    assert module["00081198"]["Value"][0]["00081155"]["Value"] == ["2.3"]
    assert "2.3" not in ingest.indexed
    assert response.headers["Warning"].startswith(f"299 {ROOT}: Part 2 was not stored: A900H")


async def test_only_instances_of_another_study_are_a_conflict(stow: StowClient) -> None:
    response = await post(stow, OTHER, path="/studies/1.1")
    assert response.status == 409
    assert reasons(await module_of(response)) == [0xA900]


async def test_a_part_that_is_not_dicom_fails_alone_and_is_named_by_its_position(stow: StowClient) -> None:
    response = await post(stow, ONE, b"junk", TWO)
    assert response.status == 202
    module = await module_of(response)
    assert stored(module) == ["1.3", "1.4"]
    (failed,) = module["0008119A"]["Value"]
    assert failed["00081197"]["Value"] == [0xC000]
    assert failed["0040A160"]["Value"] == ["Part 2: This is not a DICOM file."]


async def test_a_part_of_another_type_fails_alone(stow: StowClient) -> None:
    mixed = body_of([b"hello"], content_type="text/plain", close=False) + body_of([ONE])
    response = await post(stow, body=mixed)
    assert response.status == 202
    assert reasons(await module_of(response)) == [0xC000]


async def test_a_part_that_comes_encoded_fails_alone(stow: StowClient) -> None:
    encoded = b"--XX\r\nContent-Type: application/dicom\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n"
    response = await post(stow, body=encoded + body_of([ONE]))
    assert response.status == 202
    assert reasons(await module_of(response)) == [0xC000]


async def test_a_part_without_a_type_is_taken_for_dicom(stow: StowClient) -> None:
    assert (await post(stow, body=b"--XX\r\n\r\n" + ONE + b"\r\n--XX--")).status == 200


async def test_nothing_that_could_be_understood_is_400_with_reasons(stow: StowClient) -> None:
    response = await post(stow, b"junk", b"")
    assert response.status == 400
    assert reasons(await module_of(response)) == [0xC000, 0xC000]


async def test_a_mixture_of_failures_is_409(stow: StowClient) -> None:
    response = await post(stow, b"junk", OTHER, path="/studies/1.1")
    assert response.status == 409
    assert sorted(reasons(await module_of(response))) == [0xA900, 0xC000]


async def test_a_warning_makes_it_202_and_stands_beside_the_instance(stow: StowClient) -> None:
    response = await post(stow, ONE + b"/odd")
    assert response.status == 202
    (item,) = (await module_of(response))["00081199"]["Value"]
    assert item["00081196"] == {"vr": "US", "Value": [0xB000]}
    assert "1.3 was stored with warning B000H" in response.headers["Warning"]


async def test_a_part_that_crashes_the_ingest_fails_alone_and_its_text_is_not_told(
    stow: StowClient, caplog: pytest.LogCaptureFixture
) -> None:
    response = await post(stow, ONE, b"crash", TWO)
    assert response.status == 202
    assert reasons(await module_of(response)) == [0x0110]
    assert "Doe" not in await response.text() + caplog.text


async def test_a_single_instance_may_come_without_multipart(stow: StowClient, ingest: FakeIngest) -> None:
    response = await post(stow, body=ONE, Content_Type="application/dicom; transfer-syntax=1.2")
    assert response.status == 200
    assert ingest.indexed == {"1.3": ONE}


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/related; type=application/dicom; boundary=XX",
        'Multipart/Related; Boundary="XX"; Type="Application/DICOM"; start="<a>"',
    ],
)
async def test_every_legal_quoting_of_the_type_is_taken(stow: StowClient, content_type: str) -> None:
    assert (await post(stow, ONE, Content_Type=content_type)).status == 200


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/json",
        "multipart/form-data; boundary=XX",
        "multipart/related; boundary=XX",
        'multipart/related; type="text/plain"; boundary=XX',
    ],
)
async def test_another_content_type_is_415(stow: StowClient, content_type: str) -> None:
    response = await post(stow, ONE, Content_Type=content_type)
    assert response.status == 415
    assert (await response.json(content_type=None))["parameter"] == "Content-Type"


async def test_a_compressed_body_is_415(stow: StowClient) -> None:
    import zlib

    response = await post(stow, body=zlib.compress(body_of([ONE])), Content_Encoding="deflate")
    assert response.status == 415


@pytest.mark.parametrize("body", [b"", b"--XX--\r\n", b"preamble\r\n--XX--"])
async def test_a_request_without_parts_is_400(stow: StowClient, body: bytes) -> None:
    assert (await post(stow, body=body)).status == 400


@pytest.mark.parametrize("cut", [3, 8, 20, 60, 100])
async def test_of_a_truncated_body_nothing_is_stored_not_even_its_whole_parts(
    stow: StowClient, ingest: FakeIngest, cut: int
) -> None:
    response = await post(stow, body=body_of([ONE, TWO])[:-cut])
    assert response.status == 400
    assert ingest.indexed == {}
    assert ingest.open == 0


async def test_a_wrong_boundary_is_400(stow: StowClient) -> None:
    assert (
        await post(stow, ONE, Content_Type='multipart/related; type="application/dicom"; boundary=YY')
    ).status == 400


async def test_dicomweb_client_stores_and_reads_the_response(stow: StowClient, ingest: FakeIngest) -> None:
    client = DICOMwebClient(str(stow.make_url("/dicom-web")))
    body = client._encode_multipart_message([ONE, b"junk"], RELATED)
    answer = await asyncio.to_thread(
        client._http_post, str(stow.make_url("/dicom-web/studies")), body, {"Content-Type": RELATED}
    )
    module = Dataset.from_json(answer.json())
    assert answer.status_code == 202
    assert [item.ReferencedSOPInstanceUID for item in module.ReferencedSOPSequence] == ["1.3"]
    assert module.OtherFailuresSequence[0].FailureReason == 0xC000
    assert ingest.indexed == {"1.3": ONE}


@pytest.mark.parametrize("uid", ["..", "1.2.a", "1" * 65, "1.2%2f..", "%00", "%ff", "1..2"])
async def test_a_path_that_names_no_study_uid_is_400(stow: StowClient, ingest: FakeIngest, uid: str) -> None:
    from yarl import URL

    url = stow.make_url("/dicom-web/studies/")
    response = await stow.session.post(
        URL(f"{url}{uid}", encoded=True), data=body_of([ONE]), headers={"Content-Type": RELATED}
    )
    assert response.status in (400, 404, 405)
    assert ingest.indexed == {}


async def test_the_response_comes_as_xml_where_that_is_asked_for(stow: StowClient) -> None:
    response = await post(stow, ONE, Accept="application/dicom+xml")
    assert response.content_type == "application/dicom+xml"
    assert await response.text() == "<NativeDicomModel>2</NativeDicomModel>"


async def test_a_response_that_cannot_be_given_is_406_before_anything_is_stored(
    stow: StowClient, ingest: FakeIngest
) -> None:
    response = await post(stow, ONE, Accept="text/csv")
    assert response.status == 406
    assert "application/dicom+json" in (await response.json(content_type=None))["available"]
    assert ingest.indexed == {}


async def test_who_may_not_store_is_refused_before_the_body_is_read(stow: StowClient, ingest: FakeIngest) -> None:
    response = await post(stow, ONE, Authorization="Bearer reader")
    assert response.status == 403
    assert ingest.indexed == {}


async def test_an_instance_over_its_limit_fails_alone(stow: StowClient, ingest: FakeIngest) -> None:
    ingest.instance_limit = 100
    response = await post(stow, b"x" * 101, ONE)
    assert response.status == 202
    module = await module_of(response)
    assert reasons(module) == [0xA700]
    assert "at most 100 bytes" in response.headers["Warning"]
    assert ingest.open == 0


async def test_only_an_instance_over_its_limit_is_413_that_states_it(stow: StowClient, ingest: FakeIngest) -> None:
    ingest.instance_limit = 100
    for content_type, body in ((RELATED, body_of([b"x" * 101])), (DICOM, b"x" * 101)):
        response = await post(stow, body=body, Content_Type=content_type)
        assert response.status == 413
        assert (await response.json(content_type=None))["limit_bytes"] == 100


async def dripping(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
        await asyncio.sleep(0)


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_request_over_the_limit_is_413_announced_or_not(
    stow_with: Callable[[StowLimits], Awaitable[StowClient]], ingest: FakeIngest, chunked: bool
) -> None:
    stow = await stow_with(StowLimits(request_bytes=200))
    body = body_of([ONE, TWO, b"x" * 400])
    data: Any = dripping(*(body[i : i + 50] for i in range(0, len(body), 50))) if chunked else body
    response = await stow.post("/dicom-web/studies", data=data, headers={"Content-Type": RELATED})
    assert response.status == 413
    assert (await response.json(content_type=None))["limit_bytes"] == 200
    assert ingest.indexed == {}
    assert ingest.open == 0


async def test_a_chunked_body_without_a_length_is_stored(stow: StowClient, ingest: FakeIngest) -> None:
    body = body_of([ONE, TWO])
    data = dripping(*(body[i : i + 1] for i in range(len(body))))
    response = await stow.post("/dicom-web/studies", data=data, headers={"Content-Type": RELATED})
    assert response.status == 200
    assert len(ingest.indexed) == 2


async def test_more_parts_than_the_limit_are_400(
    stow_with: Callable[[StowLimits], Awaitable[StowClient]], ingest: FakeIngest
) -> None:
    stow = await stow_with(StowLimits(parts=2))
    assert (await post(stow, ONE, TWO, OTHER)).status == 400
    assert ingest.indexed == {}


async def test_more_headers_than_can_be_held_are_413(
    stow_with: Callable[[StowLimits], Awaitable[StowClient]], ingest: FakeIngest
) -> None:
    stow = await stow_with(StowLimits(held_metadata_bytes=10))
    contents = [f"1.1/1.2/1.{i}/1.9".encode() for i in range(30)]
    assert (await post(stow, *contents)).status == 413
    assert ingest.indexed == {}


async def test_a_full_disk_is_507_with_reasons_and_storing_works_again_when_there_is_room(
    stow: StowClient, ingest: FakeIngest
) -> None:
    ingest.full = True
    response = await post(stow, ONE, TWO)
    assert response.status == 507
    assert reasons(await module_of(response)) == [0xA700, 0xA700]
    ingest.full = False
    assert (await post(stow, ONE, TWO)).status == 200


async def test_what_was_indexed_before_the_disk_was_full_is_acknowledged_and_the_rest_is_not(
    stow: StowClient, ingest: FakeIngest
) -> None:
    ingest.full_at_index = 2
    contents = [f"1.1/1.2/1.{i}/1.9".encode() for i in range(300)]
    response = await post(stow, *contents)
    assert response.status == 202
    module = await module_of(response)
    assert set(stored(module)) == set(ingest.indexed)
    assert len(stored(module)) == 250
    assert reasons(module) == [0xA700] * 50
    assert module["00081198"]["Value"][0]["00081155"]["Value"] == ["1.250"]


async def test_many_parts_keep_their_order(stow: StowClient) -> None:
    contents = [f"1.1/1.2/1.{i}/1.9".encode() for i in range(600)]
    assert stored(await module_of(await post(stow, *contents))) == [f"1.{i}" for i in range(600)]
