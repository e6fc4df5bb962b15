"""Tokens of machines and the alphabet of links."""

import pytest

from archive.errors import BadRequestError, NotFoundError
from auth.tokens import (
    Role,
    create_token,
    decode_code,
    find_token,
    grouped,
    hash_secret,
    list_tokens,
    parse_roles,
    random_code,
    revoke_token,
)

READ = frozenset({Role.READ})


async def test_a_token_is_found_by_itself_and_by_nothing_like_it(archive):
    token = await create_token(archive.database, "viewer", READ, 1000)
    found = await archive.database.read(find_token, token, 2000)
    assert (found.name, found.roles) == ("viewer", READ)
    for wrong in (token[:-1], token + "x", token.lower(), "", "lbx_"):
        assert await archive.database.read(find_token, wrong, 2000) is None


@pytest.mark.sqlite
async def test_the_database_does_not_hold_the_token(archive):
    token = await create_token(archive.database, "viewer", READ, 1000)
    path = archive.database._path
    assert token.encode() not in path.read_bytes()
    wal = path.with_name(path.name + "-wal")
    assert token.encode() not in wal.read_bytes()
    assert hash_secret(token) in wal.read_bytes()


async def test_a_revoked_or_expired_token_is_not_found(archive):
    revoked = await create_token(archive.database, "one", READ, 1000)
    expiring = await create_token(archive.database, "two", READ, 1000, ttl_s=60)
    await revoke_token(archive.database, (await list_tokens(archive.database))[0].token_id, 2000)
    assert await archive.database.read(find_token, revoked, 3000) is None
    assert await archive.database.read(find_token, expiring, 60_999) is not None
    assert await archive.database.read(find_token, expiring, 61_000) is None


async def test_revoking_a_token_that_is_not_there_says_so(archive):
    with pytest.raises(NotFoundError):
        await revoke_token(archive.database, 7, 1000)


async def test_a_token_needs_a_name_that_can_be_printed(archive):
    for name in ("", "a\nb", "x" * 101):
        with pytest.raises(BadRequestError) as caught:
            await create_token(archive.database, name, READ, 1000)
        assert caught.value.parameter == "name"


def test_roles_are_the_three_known_ones():
    assert parse_roles(["store", "read"]) == {Role.STORE, Role.READ}
    for wrong in (["root"], []):
        with pytest.raises(BadRequestError):
            parse_roles(wrong)


def test_a_code_is_understood_however_it_was_typed():
    assert decode_code("abcde-fgh1o", 10) == "ABCDEFGH10"
    assert decode_code(" ABCDE FGHIO\n", 10) == "ABCDEFGH10"
    assert decode_code("ABCDEFGHL0", 10) == "ABCDEFGH10"
    for wrong in ("ABCDEFGHI", "ABCDEFGHIJK", "ABCDEFGHU0", "ABCDEFGH!0", ""):
        assert decode_code(wrong, 10) is None


def test_a_grouped_code_decodes_to_itself():
    for length in (10, 26):
        code = random_code(length)
        assert decode_code(grouped(code), length) == code
    assert [len(group) for group in grouped(random_code(26)).split("-")] == [5, 5, 5, 5, 6]


def test_a_secret_has_130_bits_of_a_full_alphabet():
    seen = set("".join(random_code(26) for _ in range(400)))
    assert len(seen) == 32
