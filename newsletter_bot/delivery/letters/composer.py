"""Letter → the message's bytes: plain text from templates/mail, nothing that the person wrote."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import datetime
from email.utils import formatdate

from newsletter_bot.delivery.composing import headers
from newsletter_bot.delivery.composing.dkim import canonical
from newsletter_bot.delivery.composing.encoding import whole
from newsletter_bot.delivery.composing.senders import (
    domain_of,
    in_whose_name,
    senders_of,
    signer_of,
)
from newsletter_bot.delivery.letters.model import Letter, Matter
from newsletter_bot.delivery.model import Message
from newsletter_bot.rendering.theme import Theme
from newsletter_bot.settings import Settings
from newsletter_bot.shipped import template_folders
from newsletter_bot.subscribers.consent import LetterKind
from newsletter_bot.subscribers.tokens import Link, TokenSigner, mac

_ID = 12  # bytes that tell one letter from the others
_PLACE = re.compile(r"\{(newsletter|list|lists|until)\}")
_GAP = re.compile(r"\n{3,}")
_LINKS = {
    LetterKind.CONFIRM: (Link.CONFIRM, "c"),
    LetterKind.KNOWN: (Link.PREFERENCES, "p"),
    LetterKind.WELCOME: (Link.PREFERENCES, "p"),
    LetterKind.AGREE_OLD: (Link.AGREE_OLD, "a/old"),
    LetterKind.AGREE_NEW: (Link.AGREE_NEW, "a/new"),
}


class LetterComposer:
    """Writes letters; a letter tried again is the same message, with the same Message-ID.

    It goes out in the name of the list it is about, where that has a sender of its own. Raises
    ConfigurationError when a sender has no address or [dkim] is of no use, DataError when no
    header can hold newsletter.reply_to.
    """

    def __init__(self, settings: Settings, secret: bytes) -> None:
        self._settings = settings
        self._url = settings.newsletter.url
        self._tokens = TokenSigner(secret)
        self._ids = mac(secret, b"letter-id", _ID)
        self._senders = senders_of(settings)
        self._signer = signer_of(settings, self._senders.values())
        self._names = {
            name: in_whose_name(one, settings.newsletter) for name, one in self._senders.items()
        }
        folders = tuple(template_folders(settings.folder, "mail"))
        self._theme = Theme("mail", folders, escape=False)

    def compose(self, letter: Letter, matter: Matter, date: int) -> Message:
        """Write a letter, dated `date` (seconds since 1970 UTC).

        Raises DataError for an address that no header can hold, ConfigurationError for a template
        that cannot be used.
        """
        language = self._theme.spoken(letter.language or self._settings.newsletter.language)
        words = self._words(language, matter)
        values = self._values(letter, matter)
        text = self._theme.render(f"{letter.kind}.txt.j2", {**values, "words": words})
        encoding, body = whole(_GAP.sub("\n\n", text.strip()) + "\n")
        name = matter.list if matter.list in self._senders else ""
        domain = domain_of(self._senders[name][1])
        address = headers.wire_address(letter.address)
        token = self._tokens.letter_token(letter.id)
        subject = " ".join(words[f"{letter.kind.replace('-', '_')}_subject"].split())
        head = headers.block(
            [
                ("Date", formatdate(date)),
                *self._names[name],
                ("To", headers.mailbox("", address, "To")),
                ("Subject", headers.free_text(subject, "Subject")),
                ("Message-ID", f"<letter.{self._id(letter)}@{domain}>"),
                *self._way_out(letter, matter, domain),
                ("Auto-Submitted", "auto-generated"),  # RFC 3834
                ("X-Auto-Response-Suppress", "OOF, AutoReply"),
                ("X-Newsletter-Bot-Ref", token),
                ("Content-Language", language),
                ("MIME-Version", "1.0"),
                ("Content-Type", "text/plain; charset=utf-8"),
                ("Content-Transfer-Encoding", encoding),
            ]
        )
        return Message(
            delivery_id=letter.id,
            sender=f"bounce+{token}@{domain}",
            recipient=address,
            content=b"".join((self._signature(head, body), head, b"\r\n", body)),
            needs_smtputf8=not head.isascii(),
            dotless=True,  # headers fold with a blank, and `encoding` begins no line with a dot
        )

    def _signature(self, head: bytes, body: bytes) -> bytes:
        if self._signer is None:
            return b""
        return self._signer.sign(canonical(head), body, int(time.time()))

    def _id(self, letter: Letter) -> str:
        state = self._ids.copy()
        state.update(b"%d" % letter.id)
        return state.hexdigest()

    def _words(self, language: str, matter: Matter) -> Mapping[str, str]:
        names = {one.id: one.name for one in self._settings.lists}
        newsletter = self._settings.newsletter.name
        places = {
            "newsletter": newsletter,
            "list": newsletter if len(names) == 1 else names.get(matter.list, matter.list),
            "lists": ", ".join(names.get(one, one) for one in matter.lists),
            "until": "" if matter.until is None else self._written(matter.until),
        }
        found = self._theme.words(language)
        return {k: _PLACE.sub(lambda place: places[place[1]], v) for k, v in found.items()}

    def _written(self, when: int) -> str:
        """Write a time so that it is read the same in every language."""
        newsletter = self._settings.newsletter
        local = datetime.fromtimestamp(when, newsletter.zone)
        return f"{local:%Y-%m-%d %H:%M} ({newsletter.timezone})"

    def _values(self, letter: Letter, matter: Matter) -> dict[str, object]:
        link = ""
        if letter.kind in _LINKS:
            purpose, place = _LINKS[LetterKind(letter.kind)]
            link = f"{self._url}/{place}/{self._tokens.link_token(purpose, matter.number)}"
        return {
            "newsletter": self._settings.newsletter,
            "several_lists": len(self._settings.lists) > 1,
            "link": link,
            "unsubscribe_url": self._unsubscribe(letter, matter),
            "archive_url": f"{self._url}/",
        }

    def _unsubscribe(self, letter: Letter, matter: Matter) -> str:
        if letter.kind != LetterKind.WELCOME:
            return ""
        return f"{self._url}/u/{self._tokens.unsubscribe_token(matter.number, matter.list)}"

    def _way_out(self, letter: Letter, matter: Matter, domain: str) -> list[tuple[str, str]]:
        """Return the headers of one-click unsubscribing (RFC 8058), for a letter from a list."""
        link = self._unsubscribe(letter, matter)
        if not link:
            return []
        mailto = f"mailto:unsub+{link.rpartition('/')[2]}@{domain}?subject=unsubscribe"
        return [
            ("List-Unsubscribe", f"<{link}>,\r\n <{mailto}>"),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ]
