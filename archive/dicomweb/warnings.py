"""The Warning header of PS3.18: `299 <service>: <text>` (§8.3.4.2, §8.3.4.4, §10.5.3). Pure."""

import re

WARNING_CODE = 299
"""Miscellaneous persistent warning (RFC 7234 §5.5.7)."""
MAXIMUM_TEXT = 500
MAXIMUM_WARNINGS = 20
_UNSAFE = re.compile(r"[^\x20-\x7e]+")


def warning_value(service: str, text: str) -> str:
    """One header value. What a header cannot carry becomes a blank or a question mark; long texts are cut.

    `service` is the base URI of the service that answers.
    """
    return f"{WARNING_CODE} {_header_safe(service)}: {_header_safe(text)}"


def remaining_warning(service: str, remaining: int) -> str:
    """More results than were sent (PS3.18 §8.3.4.4)."""
    return warning_value(service, f"There are {remaining} additional results that can be requested")


def warning_values(service: str, texts: list[str]) -> list[str]:
    """One value for each text; past the twentieth one value says how many more there are."""
    values = [warning_value(service, text) for text in texts[:MAXIMUM_WARNINGS]]
    if len(texts) > MAXIMUM_WARNINGS:
        values.append(warning_value(service, f"There are {len(texts) - MAXIMUM_WARNINGS} more warnings."))
    return values


def _header_safe(text: str) -> str:
    ascii_text = re.sub(r"\s+", " ", text).encode("ascii", "replace").decode("ascii")
    return _UNSAFE.sub(" ", ascii_text)[:MAXIMUM_TEXT].strip()
