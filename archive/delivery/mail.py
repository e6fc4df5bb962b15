"""A message by mail: SMTP with STARTTLS or TLS, plain text and HTML in one."""

import asyncio
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from pathlib import Path

import aiosmtplib

from archive.delivery.outcomes import PermanentFailureError, TemporaryFailureError

TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class MailSettings:
    """The mail server. `security` "none" is for a server on this machine or a test.

    `ca_file` holds the certificates of a private authority; with it, no other authority is believed.
    """

    host: str
    port: int = 587
    security: str = "starttls"
    username: str = ""
    password: str = ""
    sender: str = ""
    sender_name: str = ""
    timeout_s: float = TIMEOUT_S
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Mail:
    subject: str
    text: str
    html: str


async def send_mail(settings: MailSettings, recipient: str, mail: Mail) -> str:
    """Send one mail; return its Message-ID.

    Raises
    ------
    TemporaryFailureError
        The server cannot be reached, cannot show who it is, offers no encryption where settings demand it, or says
        "later" (4xx). Nothing of the message has left then.
    PermanentFailureError
        The server refuses the address, the sender or the message (5xx).
    """
    message = compose(settings, recipient, mail)
    tls_context = await asyncio.to_thread(_tls_context, settings) if settings.security != "none" else None
    try:
        await aiosmtplib.send(
            message,
            hostname=settings.host,
            port=settings.port,
            use_tls=settings.security == "tls",
            start_tls=settings.security == "starttls",
            username=settings.username or None,
            password=settings.password or None,
            timeout=settings.timeout_s,
            tls_context=tls_context,
        )
    except aiosmtplib.SMTPRecipientsRefused as error:
        codes = [refused.code for refused in error.recipients]
        raise _failure(max(codes, default=550), "the address was refused") from error
    except aiosmtplib.SMTPAuthenticationError as error:
        raise TemporaryFailureError(f"the mail server refused our sign-in ({error.code})") from error
    except aiosmtplib.SMTPResponseException as error:
        raise _failure(error.code, "the mail server refused the message") from error
    except (aiosmtplib.SMTPException, OSError) as error:
        raise TemporaryFailureError(_reason(error)) from error
    return str(message["Message-ID"])


def compose(settings: MailSettings, recipient: str, mail: Mail) -> EmailMessage:
    """The message as it is sent. EmailMessage refuses line breaks in headers, so no header can be smuggled in."""
    message = EmailMessage(policy=SMTP)
    message["From"] = f"{settings.sender_name} <{settings.sender}>" if settings.sender_name else settings.sender
    message["To"] = recipient
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = make_msgid(domain=settings.sender.rpartition("@")[2] or "localhost")
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    return message


def _tls_context(settings: MailSettings) -> ssl.SSLContext:
    """Who the mail server may be: a certificate for its host name, by an authority that is believed.

    Raises TemporaryFailureError for a file that cannot be read: it can be put right while the message waits.
    """
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        raise TemporaryFailureError("the file that smtp_ca_file names cannot be read as certificates") from error


def _reason(error: BaseException) -> str:
    """What the desk reads of a failure without an answer; what wraps the cause is the library's own."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and len(causes) < 5:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in causes):
        return "the mail server's certificate is not trusted"
    if any(isinstance(one, ssl.SSLError) for one in causes):
        return "no encrypted connection to the mail server could be made"
    if type(error) is aiosmtplib.SMTPException and "STARTTLS" in str(error):
        return "the mail server offers no encryption"
    return "the mail server cannot be reached"


def _failure(code: int, reason: str) -> PermanentFailureError | TemporaryFailureError:
    kind = PermanentFailureError if code >= 500 else TemporaryFailureError
    return kind(f"{reason} ({code})")
