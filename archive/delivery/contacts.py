"""Mail addresses and telephone numbers: taken as people write them, kept in one form, shown masked."""

import re
from email.errors import HeaderParseError
from email.headerregistry import Address

from archive.errors import BadRequestError

MAXIMUM_EMAIL_LENGTH = 254
_MAIL = re.compile(r"[^\s@<>,;:\"\\()\[\]\x00-\x1f\x7f]{1,64}@([A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{2,63}")
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_SPACING = str.maketrans("", "", " -/().\u00a0\u2009")


def parse_email(text: str) -> str:
    """The address, or BadRequestError. One address, no display name, nothing a header could be made of."""
    address = text.strip()
    if len(address) > MAXIMUM_EMAIL_LENGTH or _MAIL.fullmatch(address) is None:
        raise BadRequestError("This is not a mail address.", parameter="email")
    try:
        Address(addr_spec=address)
    except (HeaderParseError, ValueError, IndexError):
        raise BadRequestError("This is not a mail address.", parameter="email") from None
    return address


def parse_mobile(text: str, country_code: str) -> str:
    """The number in international form (E.164); one with a leading 0 gets `country_code`, such as `+49`."""
    number = text.strip().translate(_SPACING)
    if number.startswith("00"):
        number = "+" + number[2:]
    elif number.startswith("0") and country_code:
        number = country_code + number[1:]
    if _NUMBER.fullmatch(number) is None:
        raise BadRequestError(
            "This is not a telephone number: write it with its country, +49 170 …", parameter="mobile"
        )
    return number


def masked(contact: str) -> str:
    """Enough to recognise one's own contact, too little to learn another's."""
    if "@" in contact:
        name, _, host = contact.partition("@")
        return f"{name[:1]}…@{host[:1]}…{host[host.rfind('.') :]}"
    return f"{contact[:3]} … {contact[-2:]}"
