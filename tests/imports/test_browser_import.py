"""Importing by the API that the pages use (sharing by link, I1-I7, S28)."""

from io import BytesIO
from pathlib import Path

import pydicom
import pytest
import sqlalchemy as sa
from disc_builder import browser_files, ihe_pdi, write_dicomdir
from files import part10
from pydicom.data import get_testdata_file

from archive.database.import_tables import import_files, imports
from archive.database.index_tables import instances, studies
from archive.errors import StorageFullError
from archive.identifiers import StudyUID
from archive.imports import parts as parts_module
from archive.imports.record import LIFE_MS
from archive.index.deletion import Chain, Deletion, delete_instances
from archive.resources import DATABASE

SR = "1.2.840.10008.5.1.4.1.1.88.11"


def two_patients() -> dict[str, bytes]:
    return {
        "disc/A": part10(PatientName="Doe^Jane", PatientID="P1", StudyInstanceUID="1.2.10"),
        "disc/B": part10(PatientName="Doe^John", PatientID="P2", StudyInstanceUID="1.2.20"),
    }


def report_alone() -> bytes:
    dataset = pydicom.dcmread(BytesIO(part10(SOPClassUID=SR, Modality="SR")))
    for keyword in ("PixelData", "Rows", "Columns"):
        del dataset[keyword]
    target = BytesIO()
    dataset.save_as(target)
    return target.getvalue()


async def test_a_disc_is_previewed_then_taken_in_and_summed_up(house, tmp_path):
    disc = browser_files(ihe_pdi(tmp_path / "disc"))
    disc["disc/broken.dcm"] = b"\0" * 128 + b"DICM" + b"nonsense"
    desk = await house.staff()
    preview = await desk.begin(disc)
    (patient,) = preview["patients"]
    assert (patient["name"], patient["patient_id"]) == ("Jane Doe", "P1")
    (study,) = patient["studies"]
    assert [one["count"] for one in study["series"]] == [2]
    assert (study["images"], preview["counts"]["skipped"], preview["needs_choice"]) == (2, 3, False)
    told = await desk.import_all(disc)
    assert (told["counts"]["image"], told["counts"]["stored"], told["counts"]["there"]) == (2, 2, 0)
    assert [(one["path"], one["code"]) for one in told["refused"]] == [("disc/broken.dcm", "undecided")]
    assert (told["missing"], told["lacks"], told["finished"]) == ([], [], True)


async def test_a_second_import_is_nothing_new_and_nothing_changed(house, tmp_path):
    disc, desk = browser_files(ihe_pdi(tmp_path / "disc")), await house.staff()
    await desk.import_all(disc)
    before = await house.rows(sa.select(studies.c.updated_ms, studies.c.instance_count))
    again = await desk.import_all(disc)
    assert (again["counts"]["stored"], again["counts"]["there"], again["counts"]["refused"]) == (0, 2, 0)
    assert await house.rows(sa.select(studies.c.updated_ms, studies.c.instance_count)) == before


async def test_two_patients_stop_for_a_choice_and_the_other_ones_files_are_refused(house):
    disc, desk = two_patients(), await house.staff()
    preview = await desk.begin(disc)
    assert preview["needs_choice"]
    status, told = await desk.piece("disc/A", disc["disc/A"], 0, disc["disc/A"])
    assert status == 409, "Nothing is taken before the choice."
    status, told = await desk.choose(preview["patients"])
    assert (status, told["parameter"]) == (409, "same_person")
    status, _ = await desk.choose([one for one in preview["patients"] if one["patient_id"] == "P1"])
    assert status == 200
    assert (await desk.send("disc/A", disc["disc/A"]))["state"] == "stored"
    other = await desk.send("disc/B", disc["disc/B"])
    assert (other["state"], other["code"]) == ("refused", "not-chosen")
    assert [row["PatientID"] for row in await house.rows(sa.select(studies.c.PatientID))] == ["P1"]


async def test_a_file_that_turns_out_to_be_another_patients_is_refused(house):
    disc, desk = two_patients(), await house.staff()
    preview = await desk.begin({"disc/A": disc["disc/A"]})
    await desk.choose(preview["patients"])
    swapped = disc["disc/B"].ljust(len(disc["disc/A"]), b"\0")[: len(disc["disc/A"])]
    assert (await desk.send("disc/A", swapped))["code"] == "not-chosen"


async def test_the_same_person_spelled_twice_is_put_under_one_local_id_with_the_original_kept(house):
    disc, desk = two_patients(), await house.staff()
    told = await desk.import_all(disc, same_person=True, patient_id="LOCAL 7")
    assert told["counts"]["stored"] == 2
    rows = await house.rows(sa.select(studies.c.PatientID, instances.c.digest).join(instances))
    assert {row["PatientID"] for row in rows} == {"LOCAL 7"}
    kept = [pydicom.dcmread(house.data / "store" / "blobs" / row["digest"][:2] / row["digest"]) for row in rows]
    originals = {one.OriginalAttributesSequence[0].ModifiedAttributesSequence[0].PatientID for one in kept}
    assert originals == {"P1", "P2"}
    assert all("IssuerOfPatientID" not in one for one in kept)
    again = await desk.import_all(disc, same_person=True, patient_id="LOCAL 7")
    assert (again["counts"]["stored"], again["counts"]["there"]) == (0, 2)


async def test_a_disc_with_a_report_alone_says_so_before_anything_is_sent(house):
    preview = await (await house.staff()).begin({"disc/SR": report_alone()})
    (study,) = preview["patients"][0]["studies"]
    assert (study["images"], study["reports"]) == (0, 1)


async def test_another_file_under_a_known_uid_is_refused_by_its_name(house):
    desk = await house.staff()
    await desk.import_all({"disc/A": part10(SOPInstanceUID="1.2.3.9")})
    told = await desk.import_all({"disc/OTHER": part10(SOPInstanceUID="1.2.3.9", InstanceNumber="2")})
    assert [(one["path"], one["code"]) for one in told["refused"]] == [("disc/OTHER", "other-bytes")]
    assert told["counts"]["stored"] == 0


async def test_a_file_comes_in_pieces_and_goes_on_where_it_ended(house):
    desk, data = await house.staff(), part10()
    preview = await desk.begin({"disc/A": data})
    await desk.choose(preview["patients"])
    status, told = await desk.piece("disc/A", data[:300], 0, data)
    assert (status, told["offset"], told["state"]) == (200, 300, "waiting")
    for offset in (0, 299, 301):
        assert (await desk.piece("disc/A", data[300:350], offset, data))[0] == 409
    assert (await desk.ask("GET", f"{desk.api}/files/{desk.files['disc/A']['number']}"))[1]["offset"] == 300
    status, told = await desk.piece("disc/A", data[300:] + b"more", 300, data)
    assert (status, told["parameter"]) == (400, "offset")
    status, told = await desk.piece("disc/A", data[300:], 300, data)
    assert (status, told["state"]) == (200, "stored")
    assert (await desk.piece("disc/A", data[300:], 300, data))[1]["state"] == "stored", (
        "Sent again, it changes nothing."
    )


@pytest.mark.parametrize("pieces", [1, 2])
async def test_a_file_that_is_not_what_its_digest_says_is_to_be_sent_again(house, pieces):
    desk, data = await house.staff(), part10()
    preview = await desk.begin({"disc/A": data})
    await desk.choose(preview["patients"])
    damaged = data[:-1] + b"\xff"
    cut = len(data) // pieces
    for start in range(0, cut * pieces, cut):
        status, told = await desk.piece(
            "disc/A", damaged[start : start + cut if start + cut < len(data) - 1 else None], start, data
        )
    assert (status, told["code"]) == (409, "wrong-digest")
    assert (await desk.ask("GET", f"{desk.api}/files/1"))[1] == {
        "offset": 0,
        "state": "waiting",
        "code": "",
        "message": "",
    }
    assert (await desk.send("disc/A", data))["state"] == "stored"


async def test_what_was_listed_and_never_came_is_missed_from_then_on(house, tmp_path):
    disc = browser_files(ihe_pdi(tmp_path / "disc"))
    write_dicomdir(tmp_path / "disc" / "DICOMDIR", ["DICOM", "IM00001"], ["DICOM", "GONE"])
    disc["disc/DICOMDIR"] = (tmp_path / "disc" / "DICOMDIR").read_bytes()
    desk = await house.staff()
    preview = await desk.begin(disc)
    assert preview["missing"] == ["DICOM/GONE"]
    await desk.choose(preview["patients"])
    await desk.send("disc/DICOM/IM00001", disc["disc/DICOM/IM00001"])
    told = await desk.finish()
    assert (told["counts"]["stored"], told["counts"]["waiting"]) == (1, 1)
    assert told["lacks"] == [{"lack": "announced", "count": 2, "series": ""}]
    assert (await desk.ask("POST", f"{desk.api}/finish", json={}))[1]["counts"]["stored"] == 1
    assert (await desk.piece("disc/DICOM/IM00002", b"x", 0, b"x"))[0] == 409


async def test_a_study_that_was_unticked_is_left_out(house):
    disc = {"disc/A": part10(), "disc/B": part10(StudyInstanceUID="1.2.99")}
    desk = await house.staff()
    preview = await desk.begin(disc)
    (patient,) = preview["patients"]
    patient["studies"] = [one for one in patient["studies"] if one["study_uid"] == "1.2.99"]
    await desk.choose([patient])
    await desk.send("disc/B", disc["disc/B"])
    told = await desk.finish()
    assert (told["counts"]["stored"], told["counts"]["left_out"], told["counts"]["waiting"]) == (1, 1, 0)


async def test_a_browser_that_comes_back_is_told_what_is_there_and_lists_nothing_twice(house, tmp_path):
    disc, desk = browser_files(ihe_pdi(tmp_path / "disc")), await house.staff()
    preview = await desk.begin(disc)
    await desk.choose(preview["patients"])
    await desk.send("disc/DICOM/IM00001", disc["disc/DICOM/IM00001"])
    _, told = await desk.ask("GET", f"{desk.api}/files")
    states = {one["path"]: one["state"] for one in told["files"]}
    assert states["disc/DICOM/IM00001"] == "stored"
    assert states["disc/DICOM/IM00002"] == "waiting"
    numbers = {path: one["number"] for path, one in desk.files.items()}
    desk.files = {}
    assert (await desk.list_files(disc))["chosen"]
    assert {path: one["number"] for path, one in desk.files.items()} == numbers


async def test_an_import_of_somebody_else_is_not_there(house):
    desk, other, owner = await house.staff(), await house.staff("a.other"), await house.owner()
    await desk.begin({"disc/A": part10()})
    other.import_id = owner.import_id = desk.import_id
    for person in (other, owner):
        for method, tail in (("GET", ""), ("GET", "/files"), ("POST", "/finish"), ("DELETE", ""), ("PUT", "/files/1")):
            status, told = await person.ask(method, person.api + tail, json={})
            assert (status, told["code"]) == (404, "not-found"), (person.root, method, tail)


async def test_a_link_that_does_not_allow_it_imports_nothing(house):
    owner = await house.owner(allowed=False)
    assert (await owner.ask("POST", owner.root, json={}))[0] == 403
    desk = await house.staff()
    permit = f"/api/desk/requests/{owner.subject}/imports"
    assert (await desk.ask("POST", permit, json={"allowed": True}))[0] == 204
    assert (await owner.ask("POST", owner.root, json={}))[0] == 201


async def test_what_a_patient_imports_is_theirs_to_see_at_once(house):
    owner = await house.owner()
    disc = {"disc/A": part10(), "disc/B": part10()}
    preview = await owner.begin(disc)
    await owner.choose(preview["patients"])
    await owner.send("disc/A", disc["disc/A"])
    page = await house.client.get(f"/o/{owner.subject}/home", cookies=owner.cookies, headers={"Accept": "text/html"})
    assert 'data-then="follow">See my images' in await page.text()
    await owner.send("disc/B", disc["disc/B"])
    assert (await owner.finish())["counts"]["stored"] == 2
    told = [(row["study_uid"], row["count"], row["share_id"]) for row in await house.trail("import")]
    assert told == [("1.2.3", 1, owner.subject), ("", 2, owner.subject), ("1.2.3", 1, owner.subject)]


async def test_a_patient_adds_nothing_to_a_study_that_came_another_way_and_does_not_get_to_see_it(house):
    desk, owner = await house.staff(), await house.owner()
    known, more = part10(), part10()
    await desk.import_all({"disc/A": known})
    told = await owner.import_all({"disc/A": known, "disc/B": more})
    assert [(one["path"], one["code"]) for one in told["refused"]] == [
        ("disc/A", "foreign-study"),
        ("disc/B", "foreign-study"),
    ]
    assert len(await house.rows(sa.select(instances.c.id))) == 1
    status, told = await owner.ask("POST", f"/api/o/{owner.subject}/look", json={})
    assert 400 <= status < 500, told


async def test_a_patient_who_imports_under_a_uid_sees_nothing_of_what_comes_under_it_from_elsewhere(house):
    desk, owner = await house.staff(), await house.owner()
    await owner.import_all({"disc/A": part10()})
    look = f"/api/o/{owner.subject}/look"
    assert (await owner.ask("POST", look, json={}))[0] == 200
    await desk.import_all({"disc/B": part10()})
    status, told = await owner.ask("POST", look, json={})
    assert (status, told["code"]) == (409, "link-paused") or 400 <= status < 500, told
    page = await house.client.get(f"/desk/requests/{owner.subject}?lang=en", cookies=desk.cookies)
    assert "Images of somebody else have come into a study that the patient imported" in await page.text()
    attach = f"/api/desk/requests/{owner.subject}/attach"
    assert (await desk.ask("POST", attach, json={"study_uids": ["1.2.3"]}))[0] < 300
    assert (await owner.ask("POST", look, json={}))[0] == 200, "The desk has looked at it."


async def test_a_patient_puts_nothing_in_the_place_of_a_study_that_was_deleted(house):
    desk, owner = await house.staff(), await house.owner()
    await desk.import_all({"disc/A": part10()})
    deletion = Deletion(1, "test", rejected=False)
    await house.client.app[DATABASE].write_batch(delete_instances, Chain(StudyUID("1.2.3")), deletion)
    told = await owner.import_all({"disc/B": part10()})
    assert [one["code"] for one in told["refused"]] == ["foreign-study"]


async def test_what_is_refused_leaves_nothing_on_the_disk_and_counts_for_the_patient(house):
    owner = await house.owner()
    first = part10(SOPInstanceUID="1.2.3.9")
    others = {f"disc/{number}": part10(SOPInstanceUID="1.2.3.9", PatientAge=f"{number:03}Y") for number in range(3)}
    told = await owner.import_all({"disc/first": first, **others})
    assert [one["code"] for one in told["refused"]] == ["other-bytes"] * 3
    kept = [path for path in (house.data / "store" / "blobs").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in kept] == [first]
    assert await house.rows(sa.select(imports.c.new_files)) == [{"new_files": 4}]


async def test_a_patient_may_import_so_much_and_no_more(open_house):
    house = await open_house(patient_import_files=4, patient_import_bytes=1 << 20)
    owner = await house.owner()
    disc = {f"disc/{number}": part10(StudyInstanceUID="1.2.50") for number in range(2)}
    await owner.import_all(disc)
    again = await owner.import_all(disc)
    assert again["counts"]["there"] == 2, "What is there already costs nothing."
    more = {f"disc/m{number}": part10(StudyInstanceUID="1.2.50") for number in range(3)}
    preview = await owner.begin(more)
    status, told = await owner.choose(preview["patients"])
    assert (status, "at most 4 files" in told["message"]) == (413, True)
    assert (await owner.piece("disc/m0", more["disc/m0"], 0, more["disc/m0"]))[0] == 409, "It was not chosen."
    large = await owner.begin({"disc/big": part10() + bytes(1 << 20)})
    assert (await owner.choose(large["patients"]))[0] == 413


async def test_more_files_after_the_choice_are_another_choice(open_house):
    house = await open_house(patient_import_files=20, patient_import_bytes=1500)
    owner = await house.owner()
    disc = {f"disc/{number}": part10() for number in range(4)}
    first = {"disc/0": disc["disc/0"]}
    assert (await owner.choose((await owner.begin(first))["patients"]))[0] == 200
    preview = await owner.list_files(disc)
    assert not preview["chosen"]
    assert (await owner.piece("disc/3", disc["disc/3"], 0, disc["disc/3"]))[0] == 409
    assert (await owner.choose(preview["patients"]))[0] == 413


async def test_only_a_few_dicomdirs_are_read(house, tmp_path):
    write_dicomdir(tmp_path / "DICOMDIR", ["A"])
    data = (tmp_path / "DICOMDIR").read_bytes()
    preview = await (await house.staff()).begin({f"disc/{number}/DICOMDIR": data for number in range(10)})
    assert (preview["counts"]["read"], preview["counts"]["refused"]) == (8, 2)


async def test_a_patient_puts_nothing_under_another_patient_id(house):
    owner = await house.owner()
    preview = await owner.begin({"disc/A": part10()})
    assert (await owner.choose(preview["patients"], patient_id="X"))[0] == 403


async def test_only_a_few_imports_are_open_at_a_time(house):
    owner = await house.owner()
    statuses = [(await owner.ask("POST", owner.root, json={}))[0] for _ in range(6)]
    assert statuses == [201] * 5 + [429]


async def test_a_full_disk_is_told_in_words(house, monkeypatch):
    desk = await house.staff()
    preview = await desk.begin({"disc/A": part10()})
    monkeypatch.setattr(parts_module, "RESERVE_BYTES", 1 << 62)
    status, told = await desk.choose(preview["patients"])
    assert (status, told["code"]) == (507, StorageFullError.code)
    assert "no room left" in told["message"]


async def test_an_import_that_expired_leaves_nothing_of_the_disc_behind(house):
    desk, data = await house.staff(), part10()
    preview = await desk.begin({"disc/A": data})
    await desk.choose(preview["patients"])
    await desk.piece("disc/A", data[:300], 0, data)
    assert (house.data / "imports" / desk.import_id).is_dir()
    clock = house.imports.clock
    house.imports.clock = lambda: clock() + LIFE_MS
    await house.imports.tidy()
    assert not (house.data / "imports" / desk.import_id).exists()
    assert await house.rows(sa.select(import_files.c.id)) == []
    assert len(await house.rows(sa.select(imports.c.id))) == 1
    assert (await desk.ask("GET", desk.api))[0] == 404


async def test_giving_up_leaves_nothing_of_the_disc_behind(house):
    desk = await house.staff()
    await desk.begin({"disc/A": part10()})
    assert (await desk.ask("DELETE", desk.api))[0] == 204
    assert await house.rows(sa.select(import_files.c.id)) == []
    assert (await desk.ask("GET", desk.api))[0] == 404


async def test_the_desk_sees_who_has_a_patient_id_here(house):
    desk = await house.staff()
    await desk.import_all({"disc/A": part10(PatientBirthDate="19801224")})
    _, told = await desk.ask("POST", "/api/desk/imports/patient", json={"patient_id": "P1"})
    assert told["patients"] == [{"name": "Jane Doe", "birth_date": "19801224", "study_count": 1}]


@pytest.mark.parametrize(
    "name", ["MR_small_bigendian.dcm", "MR_small_jpeg_ls_lossless.dcm", "image_dfl.dcm", "ExplVR_LitEndNoMeta.dcm"]
)
async def test_odd_encodings_are_previewed_and_taken(house, name):
    data = Path(str(get_testdata_file(name))).read_bytes()
    told = await (await house.staff()).import_all({"disc/IM1": data})
    assert (told["counts"]["stored"], told["refused"]) == (1, [])


@pytest.mark.parametrize(
    ("file", "parameter"),
    [
        ({"path": "", "size": 1}, "path"),
        ({"path": "a", "size": -1}, "size"),
        ({"path": "a", "size": True}, "size"),
        ({"path": "a", "size": 1, "head": "!"}, "head"),
        ({"path": "a", "size": 1, "head": "AAAA"}, "head"),
        ({"path": "a", "size": 1, "problem": "<b>"}, "problem"),
    ],
)
async def test_a_list_that_makes_no_sense_is_refused_by_the_name_of_what_is_wrong(house, file, parameter):
    desk = await house.staff()
    await desk.begin({"disc/A": part10()})
    status, told = await desk.ask("POST", f"{desk.api}/files", json={"files": [file]})
    assert (status, told["parameter"]) == (400, parameter)


async def test_names_from_the_disc_are_made_harmless_before_they_are_shown(house):
    preview = await (await house.staff()).begin({"../../etc/\x1b[31mpasswd": b"nothing that is known"})
    assert [one["path"] for one in preview["refused"]] == ["etc/\N{REPLACEMENT CHARACTER}[31mpasswd"]
