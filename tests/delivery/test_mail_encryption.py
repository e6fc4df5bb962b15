"""Mail to real SMTP servers with STARTTLS and with TLS from the first byte, under an authority made for the test."""

import asyncio
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from servers import free_port

from archive.app import access_settings
from archive.config import Settings
from archive.delivery.mail import Mail, MailSettings, send_mail
from archive.delivery.outcomes import TemporaryFailureError

MAIL = Mail("Ihr Link", "Grüße\n\nhttps://x.example/o/A#SECRET\n", "<p>Grüße</p>")
HOST = "localhost"


@dataclass
class Sink:
    """What reached the server, and over which encryption."""

    contents: list[bytes] = field(default_factory=list)
    senders: list[str] = field(default_factory=list)
    signed_in: list[bytes] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)

    async def handle_MAIL(self, server, session, envelope, address, options):
        self.senders.append(address)
        envelope.mail_from = address
        return "250 ok"

    async def handle_DATA(self, server, session, envelope):
        tls = server.transport.get_extra_info("ssl_object")
        self.versions.append(tls.version() if tls else "none")
        self.contents.append(envelope.content)
        return "250 ok"

    def authenticate(self, server, session, envelope, mechanism, data):
        self.signed_in.append(data.login)
        return AuthResult(success=data.password == b"right", handled=False)

    @property
    def is_untouched(self) -> bool:
        return not (self.contents or self.senders or self.signed_in)


@dataclass
class PostOffice:
    """Starts mail servers that show a certificate for `names`."""

    folder: Path
    authority: trustme.CA
    started: list[Controller] = field(default_factory=list)

    @property
    def ca_file(self) -> Path:
        path = self.folder / "ca.pem"
        self.authority.cert_pem.write_to_path(str(path))
        return path

    def server(self, security: str, *names: str, authority: trustme.CA | None = None) -> tuple[Sink, MailSettings]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        (authority or self.authority).issue_cert(*(names or (HOST,))).configure_cert(context)
        sink, port = Sink(), free_port()
        options: dict[str, object] = {"authenticator": sink.authenticate}
        if security == "starttls":
            options |= {"tls_context": context, "require_starttls": True}
        if security == "tls":
            options |= {"ssl_context": context, "auth_require_tls": False}
        controller = Controller(sink, hostname=HOST, port=port, **options)
        controller.start()
        self.started.append(controller)
        settings = MailSettings(
            HOST,
            port,
            "tls" if security == "tls" else "starttls",
            sender="lightbox@hospital.example",
            timeout_s=5,
            ca_file=self.ca_file,
        )
        return sink, settings


@pytest.fixture
def post_office(tmp_path: Path) -> Iterator[PostOffice]:
    office = PostOffice(tmp_path, trustme.CA())
    yield office
    for controller in office.started:
        controller.stop()


def changed(settings: MailSettings, **values: object) -> MailSettings:
    return MailSettings(**{name: getattr(settings, name) for name in MailSettings.__slots__} | values)  # type: ignore[arg-type]  # any field


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_mail_goes_out_encrypted_to_a_server_under_a_private_authority(post_office, security):
    sink, settings = post_office.server(security)
    assert await send_mail(settings, "zoe@example.org", MAIL)
    assert b"https://x.example/o/A#SECRET" in sink.contents[0]
    assert sink.versions in (["TLSv1.3"], ["TLSv1.2"])


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_the_server_is_signed_in_to_over_the_encrypted_connection(post_office, security):
    sink, settings = post_office.server(security)
    await send_mail(changed(settings, username="lightbox", password="right"), "zoe@example.org", MAIL)
    assert sink.signed_in == [b"lightbox"]
    assert len(sink.contents) == 1


async def test_a_wrong_password_is_named_and_nothing_is_sent(post_office):
    sink, settings = post_office.server("starttls")
    with pytest.raises(TemporaryFailureError, match="refused our sign-in"):
        await send_mail(changed(settings, username="lightbox", password="wrong"), "zoe@example.org", MAIL)
    assert sink.contents == []


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_of_an_unknown_authority_is_refused(post_office, security):
    sink, settings = post_office.server(security, authority=trustme.CA())
    signing_in = changed(settings, username="lightbox", password="right")
    with pytest.raises(TemporaryFailureError, match="certificate is not trusted"):
        await send_mail(signing_in, "zoe@example.org", MAIL)
    assert sink.is_untouched


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_for_another_host_is_refused(post_office, security):
    sink, settings = post_office.server(security, "mail.elsewhere.example")
    with pytest.raises(TemporaryFailureError, match="certificate is not trusted"):
        await send_mail(settings, "zoe@example.org", MAIL)
    assert sink.is_untouched


async def test_without_the_private_authority_its_server_is_not_trusted(post_office):
    sink, settings = post_office.server("tls")
    with pytest.raises(TemporaryFailureError, match="certificate is not trusted"):
        await send_mail(changed(settings, ca_file=None), "zoe@example.org", MAIL)
    assert sink.is_untouched


async def test_a_file_without_certificates_is_named(post_office, tmp_path):
    sink, settings = post_office.server("tls")
    (tmp_path / "empty.pem").write_text("nothing\n")
    for path in (tmp_path / "empty.pem", tmp_path / "absent.pem"):
        with pytest.raises(TemporaryFailureError, match="smtp_ca_file"):
            await send_mail(changed(settings, ca_file=path), "zoe@example.org", MAIL)
    assert sink.is_untouched


@pytest.mark.parametrize("demanded", ["starttls", "tls"])
async def test_nothing_goes_to_a_server_without_encryption_when_encryption_is_demanded(post_office, demanded):
    sink, settings = post_office.server("none")
    settings = changed(settings, security=demanded, username="lightbox", password="right", timeout_s=2)
    with pytest.raises(TemporaryFailureError, match="encrypt"):
        await send_mail(settings, "zoe@example.org", MAIL)
    assert sink.is_untouched


async def stripping_server(heard: list[bytes], ended: asyncio.Event) -> tuple[asyncio.Server, int]:
    """Someone in the middle: offers STARTTLS, then refuses it, and would take the mail in plain."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        while line := await reader.readline():
            heard.append(line)
            answers: dict[bytes, bytes] = {
                b"EHLO": b"250-here\r\n250-AUTH LOGIN PLAIN\r\n250 STARTTLS\r\n",
                b"STAR": b"454 not now\r\n",
            }
            writer.write(answers.get(line[:4].upper(), b"250 ok\r\n"))
        writer.close()
        await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(talk, HOST, port := free_port())
    return server, port


async def test_a_refused_starttls_ends_the_talk_before_name_password_or_mail(post_office):
    heard: list[bytes] = []
    server, port = await stripping_server(heard, ended := asyncio.Event())
    settings = MailSettings(HOST, port, "starttls", "lightbox", "right", "lightbox@hospital.example", timeout_s=5)
    async with server:
        with pytest.raises(TemporaryFailureError):
            await send_mail(settings, "zoe@example.org", MAIL)
        await asyncio.wait_for(ended.wait(), 5)
    words = {line.split()[0].upper() for line in heard}
    assert b"STARTTLS" in words
    assert words <= {b"EHLO", b"STARTTLS", b"QUIT"}


def test_the_settings_name_the_authority_and_demand_encryption_unless_told_otherwise(tmp_path):
    settings = Settings(smtp_host="mail.hospital.example", smtp_ca_file=tmp_path / "ca.pem")
    mail = access_settings(settings).channels.mail
    assert mail is not None
    assert (mail.security, mail.ca_file) == ("starttls", tmp_path / "ca.pem")
