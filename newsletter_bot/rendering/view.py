"""What a mail theme sees of an issue: its parts as ready, escaped HTML, and words around."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from markupsafe import Markup, escape

from newsletter_bot.errors import ConfigurationError
from newsletter_bot.issues.model import Body, Card, Image, Issue, Item, Prose, Slot
from newsletter_bot.rendering.addresses import image_url, page_url, with_utm
from newsletter_bot.rendering.prose import Attributes, dressed
from newsletter_bot.settings import Settings

_ARXIV = re.compile(r"\d{4}\.\d{4,5}(v\d+)?")  # https://info.arxiv.org/help/arxiv_identifier.html
_SIDES = frozenset({"left", "center", "right"})
CONTENT_WIDTH = 552  # pixels: a 600 px card with 24 px on both sides


@dataclass
class MailView:
    """Offered to the theme as `mail`."""

    issue: Issue
    settings: Settings
    words: dict[str, str]
    infix: str
    slots: list[Slot] = field(default_factory=list)

    @property
    def page_url(self) -> str:
        """The issue's public page."""
        return page_url(self.settings, self.issue.identity)

    def url(self, address: str) -> str:
        """Return a link's address with the configured utm parameters."""
        return with_utm(address, self.settings, self.issue.identity)

    def slot(self, name: str, fallback: str = "") -> str:
        """Leave a hole for a subscriber's value."""
        for known in self.slots:
            if (known.name, known.fallback) == (name, fallback):
                return known.marker
        marker = f"zq9t{len(self.slots)}x{self.infix}9qz"
        self.slots.append(Slot(name, fallback, marker, 1))
        return marker

    def word(self, name: str) -> str:
        """Return one of the theme's own words; raises ConfigurationError for one it lacks."""
        if name not in self.words:
            raise ConfigurationError(
                f"The theme's strings.toml has no word {name!r}.", "Add it to its table [en]."
            )
        return self.words[name]

    def text(self, value: str) -> Markup:
        """Escape a plain text for HTML."""
        return escape(value)

    def html(self, value: str) -> Markup:
        """Trust a heading's sanitised HTML, its links and pictures prepared for mail."""
        return Markup(dressed(value, self._dress))  # noqa: S704 - sanitised when it was read

    def body(self, parts: Body) -> list[dict[str, object]]:
        """Return prose and cards in order, each marked with its kind."""
        return [
            {"kind": "card", "card": part}
            if isinstance(part, Card)
            else {"kind": "prose", "html": self.html(part.html)}
            for part in parts
        ]

    def prose(self, prose: Prose) -> Markup:
        """Return one run of prose, prepared for mail."""
        return self.html(prose.html)

    def card_url(self, card: Card) -> str:
        """Return where a card leads."""
        return self.url(card.url)

    def picture(self, item: Item) -> Markup:
        """Return an item's picture, or a labelled place for one whose file is missing."""
        return Markup("") if item.image is None else self._picture(item.image)

    def source_label(self, item: Item) -> str:
        """Return `arXiv:2102.06171` for an item whose caption names a paper."""
        if item.caption is None or item.caption.source_id is None:
            return ""
        source = item.caption.source_id
        return f"arXiv:{source}" if _ARXIV.fullmatch(source) else source

    def _picture(self, image: Image) -> Markup:
        if image.path is None and not image.is_remote:
            return Markup('<span class="missing">{}: {}</span>').format(
                self.word("missing_picture"), image.src
            )
        width = min(CONTENT_WIDTH, image.width or CONTENT_WIDTH)
        return Markup('<img class="picture" src="{}" alt="{}" width="{}" />').format(
            image_url(self.settings, self.issue.identity, image.src), image.alt, width
        )

    def _dress(self, tag: str, attributes: Attributes) -> str | None:
        if tag == "a" and "href" in attributes:
            attributes["href"] = self.url(attributes["href"])
        if attributes.get("align") in _SIDES:  # a theme's rule for cells would win over `align`
            attributes["style"] = f"text-align:{attributes['align']}"
        if tag == "img":
            known = {image.src: image for image in self.issue.images}
            source = attributes.get("src", "")
            image = known.get(source, Image(source, attributes.get("alt", ""), 1))
            return str(self._picture(image))
        return None
