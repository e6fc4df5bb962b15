"""Codes of an authenticator app (TOTP, RFC 6238): each is taken once."""

import pyotp

ISSUER_LENGTH = 60
PERIOD_S = 30
DRIFT_STEPS = 1


def new_seed() -> str:
    """A seed of 160 bits, in base32 as apps take it."""
    return pyotp.random_base32(32)


def setup_uri(seed: str, account: str, issuer: str) -> str:
    """What the app's camera reads."""
    return pyotp.TOTP(seed).provisioning_uri(name=account, issuer_name=issuer[:ISSUER_LENGTH])


def matching_step(seed: str, code: str, now_ms: int, last_step: int) -> int | None:
    """The time step that the code belongs to, if it is right and newer than `last_step`; that one is then spent."""
    digits = "".join(character for character in code if character.isdigit())
    totp = pyotp.TOTP(seed)
    current = now_ms // 1000 // PERIOD_S
    for step in range(current - DRIFT_STEPS, current + DRIFT_STEPS + 1):
        if step > last_step and pyotp.utils.strings_equal(totp.at(step * PERIOD_S), digits):
            return step
    return None
