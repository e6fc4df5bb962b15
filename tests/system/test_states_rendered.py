"""A presentation state, stored beside its image, is rendered as that image in that state."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
import requests
from files import part10
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid
from servers import Server, running_server

GRAYSCALE_STATE = "1.2.840.10008.5.1.4.1.1.11.1"
STUDY, SERIES, STATES = "1.2.3", "1.2.3.4", "1.2.3.5"
SAMPLES = bytes((0, 80, 160, 255))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("states") / "data") as server:
        yield server


def item(**attributes: object) -> Dataset:
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def state(image_uid: str, uid: str) -> bytes:
    image = item(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2", ReferencedSOPInstanceUID=image_uid)
    series = item(SeriesInstanceUID=SERIES, ReferencedImageSequence=Sequence([image]))
    return part10(
        SOPClassUID=GRAYSCALE_STATE,
        SOPInstanceUID=uid,
        SeriesInstanceUID=STATES,
        Modality="PR",
        PixelData=None,
        Rows=None,
        Columns=None,
        ReferencedSeriesSequence=Sequence([series]),
        SoftcopyVOILUTSequence=Sequence([item(WindowCenter="128", WindowWidth="256")]),
        PresentationLUTShape="INVERSE",
        ImageRotation=90,
        ImageHorizontalFlip="N",
    )


def store(server: Server, token: str, content: bytes) -> None:
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/dicom",
        "Accept": "application/dicom+json",
    }
    requests.post(f"{server.dicomweb}/studies", data=content, headers=headers, timeout=30).raise_for_status()


def rendered(server: Server, token: str, uid: str) -> requests.Response:
    return requests.get(
        f"{server.dicomweb}/studies/{STUDY}/series/{STATES}/instances/{uid}/rendered",
        headers={"Authorization": f"Bearer {token}", "Accept": "image/png"},
        timeout=60,
    )


def test_a_state_is_rendered_as_its_image_and_without_it_not_found(server: Server) -> None:
    token, image_uid, state_uid = server.token("admin"), generate_uid(), generate_uid()
    store(server, token, state(image_uid, state_uid))
    assert rendered(server, token, state_uid).status_code == 404
    store(server, token, part10(SOPInstanceUID=image_uid, PixelData=SAMPLES, WindowCenter="9999", WindowWidth="2"))
    answer = rendered(server, token, state_uid)
    assert answer.status_code == 200, answer.text
    with Image.open(BytesIO(answer.content)) as image:
        shown = np.asarray(image)
    expected = np.rot90(255 - np.frombuffer(SAMPLES, np.uint8).reshape(2, 2), -1)
    np.testing.assert_array_equal(shown, expected)


def test_wado_uri_draws_an_image_in_the_state_that_is_named(server: Server) -> None:
    token, image_uid, state_uid, other = server.token("admin"), generate_uid(), generate_uid(), generate_uid()
    store(server, token, state(image_uid, state_uid))
    for uid in (image_uid, other):
        store(server, token, part10(SOPInstanceUID=uid, PixelData=SAMPLES, WindowCenter="9999", WindowWidth="2"))

    def ask(object_uid: str = image_uid, **more: str) -> requests.Response:
        keys = {"requestType": "WADO", "studyUID": STUDY, "seriesUID": SERIES, "objectUID": object_uid}
        keys |= {"presentationSeriesUID": STATES, "presentationUID": state_uid, "contentType": "image/png"} | more
        headers = {"Authorization": f"Bearer {token}"}
        return requests.get(
            f"{server.dicomweb}/wado", {k: v for k, v in keys.items() if v}, headers=headers, timeout=60
        )

    answer = ask()
    assert answer.status_code == 200, answer.text
    assert np.array_equal(np.asarray(Image.open(BytesIO(answer.content))), _pixels(rendered(server, token, state_uid)))
    for more, at_fault in (
        ({"presentationSeriesUID": ""}, "presentationSeriesUID"),
        ({"presentationUID": ""}, "presentationUID"),
        ({"windowCenter": "4", "windowWidth": "4"}, "windowCenter"),
        ({"presentationUID": image_uid, "presentationSeriesUID": SERIES}, "presentationUID"),
        ({"object_uid": other}, "presentationUID"),
    ):
        refused = ask(**more)
        assert (refused.status_code, refused.json()["parameter"]) == (400, at_fault)
    assert ask(presentationUID="1.2.3.99").status_code == 404


def _pixels(answer: requests.Response) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(answer.content)))
