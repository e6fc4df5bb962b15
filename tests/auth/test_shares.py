"""Share records: made within limits, kept without their secrets, ended with all that came of them."""

import pytest

from archive.errors import BadRequestError, NotFoundError
from auth.shares import Ending, Mode, find_share, list_shares, parse_share_id, revoke_share


async def test_a_share_opens_its_studies_and_no_other(archive):
    link = await archive.share(*archive.studies[:2])
    share = await archive.database.read(find_share, link.share_id, archive.access.clock())
    assert set(share.study_uids) == set(archive.studies[:2])
    assert not share.scope.may_see_study(archive.studies[2])
    assert share.scope.stored_until_ms is None


async def test_a_frozen_share_does_not_see_what_is_stored_later(archive):
    link = await archive.share(frozen=True, with_reports=False)
    share = await archive.database.read(find_share, link.share_id, archive.access.clock())
    assert share.scope.stored_until_ms == share.created_ms
    assert share.scope.with_reports is False


async def test_a_share_of_a_study_that_is_not_there_is_refused(archive):
    with pytest.raises(NotFoundError):
        await archive.share(archive.studies[0], "9.9.9")
    assert await list_shares(archive.database, archive.access.clock()) == []


@pytest.mark.parametrize(
    ("values", "parameter"),
    [
        ({"ttl_s": 59}, "expires"),
        ({"ttl_s": 366 * 86400}, "expires"),
        ({"label": "x" * 101}, "label"),
        ({"label": "a\u202eb"}, "label"),
        ({"maximum_opens": 0}, "maximum_opens"),
        ({"mode": Mode.PASSWORD}, "password"),
        ({"password": "long enough 1"}, "password"),
        ({"mode": Mode.PASSWORD, "password": "short"}, "password"),
        ({"mode": Mode.PASSWORD, "password": "Password1"}, "password"),
        ({"mode": Mode.PASSWORD, "password": "24.12.1980"}, "password"),
    ],
)
async def test_a_value_outside_its_limits_is_named(archive, values, parameter):
    with pytest.raises(BadRequestError) as caught:
        await archive.share(**values)
    assert caught.value.parameter == parameter


@pytest.mark.sqlite
async def test_a_leaked_database_holds_no_working_link_and_no_password(archive):
    link = await archive.share(mode=Mode.PASSWORD, password="my own long password")
    path = archive.database._path
    kept = path.read_bytes() + path.with_name(path.name + "-wal").read_bytes()
    assert link.share_id.encode() in kept
    for secret in (link.secret, link.secret.lower(), "my own long password"):
        assert secret.encode() not in kept
    assert b"$argon2id$" in kept


async def test_a_share_expires_by_the_clock_and_not_before(archive):
    link = await archive.share(ttl_s=3600)
    archive.wall.advance(s=3599)
    assert (await list_shares(archive.database, archive.access.clock()))[0].ended_reason is None
    archive.wall.advance(s=1)
    [share] = await list_shares(archive.database, archive.access.clock())
    assert (share.share_id, share.ended_reason) == (link.share_id, Ending.EXPIRED)


async def test_a_clock_set_back_revives_no_expired_link(archive):
    await archive.share(ttl_s=3600)
    archive.wall.advance(s=4000)
    assert (await list_shares(archive.database, archive.access.clock()))[0].ended_reason is Ending.EXPIRED
    archive.wall.advance(s=-4000)
    assert (await list_shares(archive.database, archive.access.clock()))[0].ended_reason is Ending.EXPIRED


async def test_revoking_ends_the_links_of_the_people_named_under_it(archive):
    parent = await archive.share(mode=Mode.NAMED)
    child = await archive.share(parent_id=parent.share_id)
    await revoke_share(archive.database, parent.share_id.lower(), "test", archive.access.clock())
    for link in (parent, child):
        share = await archive.database.read(find_share, link.share_id, archive.access.clock())
        assert share.ended_reason is Ending.REVOKED


async def test_revoking_an_unknown_share_says_so_and_twice_is_fine(archive):
    with pytest.raises(NotFoundError):
        await revoke_share(archive.database, "0000000000", "test", archive.access.clock())
    link = await archive.share()
    for _ in range(2):
        await revoke_share(archive.database, link.share_id, "test", archive.access.clock())


def test_what_cannot_be_an_id_is_no_share():
    for text in ("", "x", "../../etc", "U" * 10, "0" * 11):
        with pytest.raises(NotFoundError):
            parse_share_id(text)


async def test_the_link_is_the_public_base_the_id_and_the_secret_in_the_fragment(archive):
    link = await archive.share()
    assert link.url("https://images.example") == f"https://images.example/s/{link.share_id}#{link.secret}"
    assert (len(link.share_id), len(link.secret)) == (10, 26)
