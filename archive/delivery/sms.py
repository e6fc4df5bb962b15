"""A message to a telephone: one HTTP gateway, described by the settings; or a file, for tests and trials."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import aiohttp

from archive.delivery.outcomes import PermanentFailureError, TemporaryFailureError

TIMEOUT_S = 20.0
MAXIMUM_ANSWER_BYTES = 65_536
GSM_7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The characters of one septet (3GPP TS 23.038 §6.2.1); with others a message holds 70 characters, not 160."""
MAXIMUM_SEPTETS = 160


@dataclass(frozen=True, slots=True)
class SmsSettings:
    """The gateway. In `url` and `body`, {to} and {text} are filled in, escaped for the place where they stand.

    `success` is a text that a good answer holds, "" when the status alone counts; `reference` is the dotted path of
    the message's id in a JSON answer. A `url` of `file:…` appends a line of JSON to that file instead.
    `countries` are the beginnings of numbers that may be written to; empty allows all.
    """

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = '{"to": "{to}", "text": "{text}"}'
    content_type: str = "application/json"
    success: str = ""
    reference: str = ""
    countries: tuple[str, ...] = ()
    per_number_per_day: int = 10
    timeout_s: float = TIMEOUT_S


async def send_sms(settings: SmsSettings, number: str, text: str) -> str:
    """Send one message; return the gateway's id for it, or "".

    Raises
    ------
    TemporaryFailureError, PermanentFailureError
    """
    if settings.countries and not number.startswith(settings.countries):
        raise PermanentFailureError("text messages to this country are switched off")
    if settings.url.startswith("file:"):
        await asyncio.to_thread(_append, Path(settings.url.removeprefix("file:")), {"to": number, "text": text})
        return ""
    return await _ask_gateway(settings, number, text)


def _append(path: Path, message: dict[str, str]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(message) + "\n")


async def _ask_gateway(settings: SmsSettings, number: str, text: str) -> str:
    url = _filled(settings.url, quote(number, safe=""), quote(text, safe=""))
    body = _filled(settings.body, *(_escaped(value, settings.content_type) for value in (number, text)))
    headers = {"Content-Type": settings.content_type, **settings.headers}
    timeout = aiohttp.ClientTimeout(total=settings.timeout_s)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(
                settings.method,
                url,
                data=None if settings.method == "GET" else body.encode(),
                headers=headers,
                allow_redirects=False,
            ) as answer,
        ):
            status = answer.status
            told = (await answer.content.read(MAXIMUM_ANSWER_BYTES)).decode(errors="replace")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise TemporaryFailureError("the text message gateway cannot be reached") from error
    if status == 429 or status >= 500:
        raise TemporaryFailureError(f"the text message gateway is busy ({status})")
    if not 200 <= status < 300:
        raise PermanentFailureError(f"the text message gateway refused the message ({status})")
    if settings.success and settings.success not in told:
        raise PermanentFailureError("the text message gateway did not confirm the message")
    return _reference(told, settings.reference)


def _filled(template: str, number: str, text: str) -> str:
    """Both in one pass: a text that holds "{to}" stays as it is."""
    parts = template.split("{text}")
    return text.join(part.replace("{to}", number) for part in parts)


def _escaped(value: str, content_type: str) -> str:
    if "json" in content_type:
        return json.dumps(value)[1:-1]
    if "x-www-form-urlencoded" in content_type:
        return quote(value, safe="")
    return value.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def _reference(answer: str, path: str) -> str:
    if not path:
        return ""
    try:
        value = json.loads(answer)
        for part in path.split("."):
            value = value[int(part)] if isinstance(value, list) else value[part]
    except (ValueError, KeyError, IndexError, TypeError):
        return ""
    return str(value)[:100]
