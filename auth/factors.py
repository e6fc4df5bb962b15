"""The second things a person is asked for: passwords (Argon2id)."""

import asyncio
import secrets

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from archive.errors import BadRequestError

MINIMUM_PASSWORD_LENGTH = 8
MAXIMUM_PASSWORD_LENGTH = 256
MEMORY_KIB, PASSES, LANES = 19_456, 2, 1
"""OWASP's second choice for Argon2id: 21 to 85 ms where it was measured."""
AT_ONCE = 2
"""Passwords hashed at the same time: bounds their memory to AT_ONCE × MEMORY_KIB."""
_COMMON = """
password passwort password1 passw0rd motdepasse contraseña contrasena 12345678 123456789 1234567890 qwertyui qwertyuiop
qwerty123 qwertz123 azertyui azertyuiop 1q2w3e4r 1qaz2wsx abcd1234 abc12345 iloveyou sunshine princess football baseball
welcome1 letmein1 trustno1 superman charlie1 whatever computer internet starwars hallo123 willkommen geheim123 schatz123
bonjour1 soleil123 hola1234 teamo123 lightbox hospital radiology röntgen klinikum
"""
_CONSONANTS, _VOWELS = "bdfghjklmnprstvz", "aeiou"


class Passwords:
    """Hash and check passwords in threads, a few at a time."""

    def __init__(self) -> None:
        self._hasher = argon2.PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)
        self._at_once = asyncio.Semaphore(AT_ONCE)

    async def hash(self, password: str) -> str:
        async with self._at_once:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def is_right(self, password: str, password_argon2: str) -> bool:
        if len(password) > MAXIMUM_PASSWORD_LENGTH:
            return False
        async with self._at_once:
            return await asyncio.to_thread(self._verify, password, password_argon2)

    def _verify(self, password: str, password_argon2: str) -> bool:
        try:
            return self._hasher.verify(password_argon2, password)
        except (VerificationError, InvalidHashError):
            return False


def check_new_password(password: str) -> str:
    """Return the password, or raise BadRequestError saying why it is too weak (ASVS 6.2: length, not composition)."""
    problem = ""
    if len(password) < MINIMUM_PASSWORD_LENGTH:
        problem = f"A password has at least {MINIMUM_PASSWORD_LENGTH} characters."
    elif len(password) > MAXIMUM_PASSWORD_LENGTH:
        problem = f"A password has at most {MAXIMUM_PASSWORD_LENGTH} characters."
    elif password.casefold() in _COMMON.split() or len(set(password)) <= 2:
        problem = "This password is one that everybody tries first."
    elif sum(character.isdigit() for character in password) in (6, 8) and not any(map(str.isalpha, password)):
        problem = "This looks like a date. A birth date is known to too many people to be a password."
    if problem:
        raise BadRequestError(problem, parameter="password")
    return password


def new_password() -> str:
    """Four words that mean nothing in any language, about 50 bits, easy to say and to type."""
    return "-".join("".join(secrets.choice(letters) for letters in (_CONSONANTS, _VOWELS) * 2) for _ in range(4))
