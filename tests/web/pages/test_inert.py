"""SQL, HTML and template text, in every field and in every word of the settings, stays text."""

from __future__ import annotations

from collections.abc import Callable

import lxml.html
import pytest

from newsletter_bot.subscribers.consent import By, Choices, Frequency
from newsletter_bot.subscribers.tokens import Link
from tests.web.pages.conftest import Site

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' autofocus onfocus=alert(1) x='",
    "{{7*7}}{% raw %}${7*7}#{7*7}<%= 7*7 %>",
    "{newsletter}{list}{minutes}{0.__class__}",
    "'; DROP TABLE subscribers; --",
    "</title></style></head><body onload=alert(1)>",
    "javascript:alert(1)",
    "\u202egnp.exe",
    "=cmd|' /C calc'!A0",
]
EVIL = "<script>x</script>{{7*7}}{list}"
LISTS = f'[[lists]]\nid = "weekly"\nname = "{EVIL}"\ndescription = "{EVIL}"\n'
LISTS += '[[lists]]\nid = "jobs"\nname = "Jobs"\n'


def harmless(text: str) -> None:
    """No element and no attribute that a template of ours did not write."""
    page = lxml.html.document_fromstring(text)
    for element in page.iter():
        names = [name for name in element.attrib if str(name).startswith("on")]
        assert names == []
        assert not element.get("href", "").startswith("javascript:")
    scripts = [one for one in page.iter("script") if not one.get("src", "").endswith("sign-up.js")]
    assert scripts == []
    assert list(page.iter("img")) == []
    assert "49" not in said(text)


def said(text: str) -> str:
    return "".join(map(str, lxml.html.document_fromstring(text).itertext()))


def field(text: str, name: str) -> str | None:
    (found,) = (one for one in lxml.html.document_fromstring(text).iter() if one.get("id") == name)
    return found.get("value")


@pytest.mark.parametrize("evil", HOSTILE)
def test_in_every_field_of_the_form(site: Site, evil: str) -> None:
    fields = ("address", "name", "list", "language", "form", "proof", "embedded", "other")
    for name in fields:
        answer = site.sign_up(**{"address": "not an address", name: evil})
        assert answer.status_code == 422
        harmless(answer.text)
        if name in {"address", "name"}:
            assert field(answer.text, name) == evil


@pytest.mark.parametrize("evil", HOSTILE)
def test_in_a_name_that_is_kept_and_shown(site: Site, evil: str) -> None:
    site.bot.people.choose(
        1, Choices(evil, "en", Frequency.EVERY, None, frozenset({"weekly"})), By.OPERATOR
    )
    person = f"/p/{site.token(Link.PREFERENCES)}"
    answer = site.web.get(person)
    harmless(answer.text)
    assert field(answer.text, "name") == evil
    held = site.web.get(f"{person}/data")
    assert evil in values(held.json())
    assert held.headers["content-type"] == "application/json"
    assert held.headers["x-content-type-options"] == "nosniff"


def values(held: object) -> list[object]:
    if isinstance(held, dict):
        held = list(held.values())
    return [one for part in held for one in values(part)] if isinstance(held, list) else [held]


@pytest.mark.parametrize("evil", HOSTILE)
def test_in_every_field_of_the_preferences_and_the_new_address(site: Site, evil: str) -> None:
    person = f"/p/{site.token(Link.PREFERENCES)}"
    for name in ("list", "frequency", "day", "name", "language", "do"):
        harmless(site.web.post(person, data={"do": "save", name: evil}).text)
    harmless(site.web.post(f"{person}/address", data={"address": evil}).text)


def test_in_addresses_that_quote_anything(site: Site) -> None:
    odd = '"<script>alert(1)</script>"@example.com'
    harmless(site.sign_up(address=odd, list="").text)
    number = site.bot.people.ask_address_change(1, "o'hara&b@example.com")
    answer = site.web.get(f"/a/old/{site.token(Link.AGREE_OLD, number)}")
    harmless(answer.text)
    assert "o&#39;hara&amp;b@example.com" in answer.text


def test_in_the_path_the_query_and_the_headers(site: Site) -> None:
    for evil in HOSTILE:
        for path in ("/p/", "/c/", "/u/", "/nowhere/", "/subscribe?address="):
            answer = site.web.get(path + evil.replace("%", "%25").replace("#", "%23"))
            assert answer.status_code in {200, 404}
            harmless(answer.text)
        headers = {b"Accept-Language": evil.encode(), b"Referer": evil.encode()}
        harmless(site.web.get("/subscribe", headers=headers).text)
        answer = site.web.post(
            "/subscribe", data={"address": "bo@example.com", "list": "weekly"}, headers=headers
        )
        assert answer.status_code in {303, 429}
    assert all("page" not in row["consent"] for row in site.rows("signups"))


def test_in_the_words_of_the_operator(site_with: Callable[..., Site]) -> None:
    site = site_with(lists=LISTS)
    table = site.bot.settings.newsletter
    assert table.name == "Weekly ML News"
    number = site.asked()
    unsubscribe = f"/u/{site.bot.signer.unsubscribe_token(1, 'weekly')}"
    for path in (
        "/subscribe",
        f"/c/{site.token(Link.CONFIRM, number)}",
        f"/p/{site.token(Link.PREFERENCES)}",
        unsubscribe,
    ):
        answer = site.web.get(path)
        harmless(answer.text)
        assert EVIL in said(answer.text)
