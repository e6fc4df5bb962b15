"""What messages say, in the patient's language. Never a patient's name, nor what was examined, where or when."""

import html
from dataclasses import dataclass
from urllib.parse import urlsplit

from archive.delivery.outbox import Channel, Content
from archive.languages import Language


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of one institution in one language. `public_base` ends without a slash."""

    language: Language
    site_name: str
    public_base: str
    help_phone: str = ""

    def link(self, channel: Channel, url: str, typed: tuple[str, str]) -> Content:
        """The patient's own link."""
        return self._link("own", channel, url, typed)

    def share(self, channel: Channel, url: str, typed: tuple[str, str]) -> Content:
        """A link that somebody shares."""
        return self._link("share", channel, url, typed)

    def ready(self, channel: Channel) -> Content:
        """The images have come; the link is the one sent before."""
        return self._plain("ready", channel)

    def code(self, channel: Channel, code: str) -> Content:
        """A code of six digits; the last line of the text message lets telephones fill it in on our page only."""
        if channel is Channel.SMS:
            host = urlsplit(self.public_base).hostname
            return Content(self._text("sms.code", code=code) + f"\n\n@{host} #{code}")
        return self._mail("code", [self._text("mail.code_text"), code, self._text("mail.code_warning")])

    def notice(self, channel: Channel, lines: list[str]) -> Content:
        """Something happened on the patient's links."""
        if channel is Channel.SMS:
            return Content(self._text("sms.notice"))
        return self._mail("notice", [*lines, self._text("mail.notice_text")])

    def _link(self, purpose: str, channel: Channel, url: str, typed: tuple[str, str]) -> Content:
        if channel is Channel.SMS:
            return Content(self._text(f"sms.{purpose}", url=url))
        paragraphs = [
            self._text(f"mail.{purpose}_text"),
            url,
            self._text("mail.typed", url=f"{self.public_base}/c"),
            f"{typed[0]}\n{typed[1]}",
            self._text(f"mail.{purpose}_warning"),
        ]
        return self._mail(purpose, paragraphs)

    def _plain(self, purpose: str, channel: Channel) -> Content:
        if channel is Channel.SMS:
            return Content(self._text(f"sms.{purpose}"))
        return self._mail(purpose, [self._text(f"mail.{purpose}_text")])

    def _mail(self, purpose: str, paragraphs: list[str]) -> Content:
        closing = [self._text("page.help", phone=self.help_phone)] if self.help_phone else []
        closing.append(self.site_name)
        whole = [self._text("mail.greeting"), *paragraphs, *closing]
        subject = " ".join(self._text(f"mail.{purpose}_subject").split())
        return Content("\n\n".join(whole) + "\n", subject, self._html(whole))

    def _html(self, paragraphs: list[str]) -> str:
        body = "\n".join(f"<p>{self._html_paragraph(paragraph)}</p>" for paragraph in paragraphs)
        return (
            f'<!doctype html>\n<html lang="{self.language.code}"><head><meta charset="utf-8">'
            f"<title>{html.escape(self.site_name)}</title></head>\n"
            f'<body style="font: 16px/1.5 sans-serif; max-width: 36em; margin: 1em auto">\n{body}\n</body></html>\n'
        )

    def _html_paragraph(self, paragraph: str) -> str:
        escaped = html.escape(paragraph).replace("\n", "<br>")
        if paragraph.startswith(f"{self.public_base}/") and " " not in paragraph:
            return f'<a href="{escaped}">{escaped}</a>'
        return escaped

    def _text(self, key: str, **values: object) -> str:
        return self.language.text(key, site=self.site_name, **values)
