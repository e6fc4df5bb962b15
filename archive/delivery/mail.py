"""A message by mail: SMTP with STARTTLS or TLS, plain text and HTML in one."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid

import aiosmtplib

from archive.delivery.outcomes import PermanentFailureError, TemporaryFailureError

TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class MailSettings:
    """The mail server. `security` "none" is for a server on this machine or a test."""

    host: str
    port: int = 587
    security: str = "starttls"
    username: str = ""
    password: str = ""
    sender: str = ""
    sender_name: str = ""
    timeout_s: float = TIMEOUT_S


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
        The server cannot be reached or says "later" (4xx).
    PermanentFailureError
        The server refuses the address, the sender or the message (5xx).
    """
    message = compose(settings, recipient, mail)
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
        )
    except aiosmtplib.SMTPRecipientsRefused as error:
        codes = [refused.code for refused in error.recipients]
        raise _failure(max(codes, default=550), "the address was refused") from error
    except aiosmtplib.SMTPAuthenticationError as error:
        raise TemporaryFailureError(f"the mail server refused our sign-in ({error.code})") from error
    except aiosmtplib.SMTPResponseException as error:
        raise _failure(error.code, "the mail server refused the message") from error
    except (aiosmtplib.SMTPException, OSError) as error:
        raise TemporaryFailureError("the mail server cannot be reached") from error
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


def _failure(code: int, reason: str) -> PermanentFailureError | TemporaryFailureError:
    kind = PermanentFailureError if code >= 500 else TemporaryFailureError
    return kind(f"{reason} ({code})")
