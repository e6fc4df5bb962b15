"""Other viewers and apps: what they are given, FHIR, SMART Health Links."""

import asyncio
import base64
import json
from urllib.parse import parse_qs, unquote, urlsplit

from joserfc import jwe
from joserfc.jwk import OctKey

from auth.health_links import TRIES
from auth.shares import revoke_share

PASSCODE = "a passcode for the app"


async def opened(client, link):
    await client.post(f"/api/s/{link.share_id}/open", json={"secret": link.secret})


async def ticket(client, link):
    await opened(client, link)
    return await (await client.post(f"/api/s/{link.share_id}/tickets", json={"label": "W"})).json()


async def health_link(client, link):
    await opened(client, link)
    answer = await client.post(f"/api/s/{link.share_id}/health-links", json={"passcode": PASSCODE})
    assert answer.status == 201
    text = (await answer.json())["url"].removeprefix("shlink:/")
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


async def test_every_viewer_is_given_its_own_form(archive, client):
    link = await archive.share(archive.studies[2])
    told = await ticket(client, link)
    ways, base = told["ways"], archive.access.public_base
    assert ways["root"] == told["root_url"] == f"{base}/t/{told['ticket']}/dicom-web"
    weasis = unquote(ways["weasis"].removeprefix("weasis://?"))
    assert weasis.startswith(f'$dicom:rs --url="{base}/dicom-web" --request="studyUID={archive.studies[2]}"')
    assert f'--header="Authorization: Bearer {told["ticket"]}"' in weasis
    slicer = parse_qs(urlsplit(ways["slicer"]).query)
    assert slicer == {
        "studyUID": [archive.studies[2]],
        "access_token": [told["ticket"]],
        "dicomweb_endpoint": [f"{base}/dicom-web"],
    }
    assert parse_qs(urlsplit(ways["ohif"]).query)["url"] == [f"{base}/t/{told['ticket']}/ohif.json"]


async def test_ohif_elsewhere_fetches_its_configuration_from_any_site(archive, client):
    told = await ticket(client, await archive.share())
    client.session.cookie_jar.clear()
    answer = await client.get(f"/t/{told['ticket']}/ohif.json", headers={"Origin": "https://ohif.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    [source] = (await answer.json())["servers"]["dicomWeb"]
    assert source["wadoRoot"] == source["qidoRoot"] == told["root_url"]
    assert (await client.get("/t/lbt_wrong/ohif.json")).status == 401


async def test_fhir_refuses_another_patient_and_is_closed_without_a_ticket(archive, client):
    told = await ticket(client, await archive.share())
    root = f"/t/{told['ticket']}/fhir/ImagingStudy"
    answer = await client.get(root)
    assert (answer.status, answer.content_type) == (200, "application/fhir+json")
    assert (await answer.json())["resourceType"] == "Bundle"
    assert (await client.get(root, params={"patient": "Patient/other"})).status == 403
    assert (await client.get("/t/lbt_wrong/fhir/ImagingStudy")).status == 401


async def test_a_health_link_is_short_holds_no_name_and_opens_with_its_passcode(archive, client):
    link = await archive.share(label="Zoë Müller")
    payload = await health_link(client, link)
    assert len(payload["url"]) <= 128
    assert payload["flag"] == "LP"
    assert "Zoë" not in json.dumps(payload)
    path = urlsplit(payload["url"]).path
    client.session.cookie_jar.clear()
    answer = await client.post(path, json={"recipient": "App", "passcode": PASSCODE}, headers={"Origin": "https://a.b"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    [file] = (await answer.json())["files"]
    key = OctKey.import_key({"kty": "oct", "k": payload["key"]})
    opened_file = jwe.decrypt_compact(file["embedded"], key, algorithms=["dir", "A256GCM"])
    assert opened_file.protected["cty"] == file["contentType"] == "application/fhir+json"
    assert json.loads(opened_file.plaintext)["resourceType"] == "Bundle"


async def test_a_health_link_counts_wrong_passcodes_for_its_life_also_at_once(archive, client):
    payload = await health_link(client, await archive.share())
    path = urlsplit(payload["url"]).path
    wrong = {"recipient": "App", "passcode": "wrong"}
    first = await client.post(path, json=wrong)
    assert (first.status, await first.json()) == (401, {"remainingAttempts": TRIES - 1})
    answers = await asyncio.gather(*(client.post(path, json=wrong) for _ in range(20)))
    assert {answer.status for answer in answers} == {401}
    assert await (await client.post(path, json=wrong)).json() == {"remainingAttempts": 0}
    assert (await client.post(path, json={"recipient": "App", "passcode": PASSCODE})).status == 401


async def test_a_health_link_ends_with_its_share(archive, client):
    link = await archive.share()
    payload = await health_link(client, link)
    await revoke_share(archive.database, link.share_id, "test", archive.access.clock())
    answer = await client.post(urlsplit(payload["url"]).path, json={"recipient": "App", "passcode": PASSCODE})
    assert answer.status == 404
    unknown = await client.post("/shl/unknown", json={"recipient": "App", "passcode": PASSCODE})
    assert unknown.status == 404
