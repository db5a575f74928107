"""What forms ask, read and checked: what is typed is kept, and each problem stands at its field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from newsletter_bot.errors import DataError
from newsletter_bot.settings import Settings
from newsletter_bot.settings.tables import ListTable
from newsletter_bot.subscribers.address import AddressError, parse_address
from newsletter_bot.subscribers.given import checked_name
from newsletter_bot.web.serving.bodies import Form

Problems = Mapping[str, str]  # by field: which of the pages' words says what is wrong


@dataclass(frozen=True, slots=True)
class SignupDraft:
    """What a reader wrote into the sign-up form."""

    address: str = ""
    name: str = ""
    language: str = ""
    lists: tuple[str, ...] = ()

    @classmethod
    def of(cls, form: Form, settings: Settings, language: str) -> SignupDraft:
        """Read a form; `language` is the page's own."""
        public = public_lists(settings)
        only = (public[0].id,) if len(public) == 1 else ()
        return cls(
            form.one("address"),
            form.one("name"),
            chosen_language(form.one("language"), settings, language),
            form.all("list") or only,
        )

    @classmethod
    def empty(cls, settings: Settings, language: str) -> SignupDraft:
        """Return the form as it is first shown: the first list is chosen."""
        first = tuple(one.id for one in public_lists(settings)[:1])
        return cls(language=chosen_language("", settings, language), lists=first)

    def problems(self, settings: Settings) -> Problems:
        """Return what is wrong, in the order of the fields."""
        found = {}
        if not is_address(self.address):
            found["address"] = "wrong_address"
        if not is_name(self.name):
            found["name"] = "wrong_name"
        if not self.lists or set(self.lists) - {one.id for one in public_lists(settings)}:
            found["lists"] = "wrong_lists"
        return found


def public_lists(settings: Settings) -> tuple[ListTable, ...]:
    """Return the lists that the form offers."""
    return tuple(one for one in settings.lists if one.public)


def chosen_language(wanted: str, settings: Settings, page: str) -> str:
    """Return the language somebody chose, else the page's own where it is offered, or none is."""
    offered = settings.signup.languages
    if wanted in offered:
        return wanted
    return page if page in offered or not offered else offered[0]


def is_address(text: str) -> bool:
    """Tell whether a text is an address that can be mailed."""
    try:
        parse_address(text)
    except AddressError:
        return False
    return True


def is_name(text: str) -> bool:
    """Tell whether a text may be a name; an empty one may."""
    try:
        checked_name(text)
    except DataError:
        return False
    return True
