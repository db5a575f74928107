"""Every page before the Nu HTML Checker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import lxml.html

from newsletter_bot.subscribers.tokens import Link
from tests.web.pages.conftest import LISTS, Site

SIGNUP = """
[signup]
languages = ["en", "ja"]
privacy_url = "https://news.example.com/privacy"
embed = ["https://example.com"]
without_proof = "1/h"
"""


def pages(site: Site, language: str) -> dict[str, str]:
    """The source of every page, in each of its states."""
    headers = {"Accept-Language": language}
    confirm = f"/c/{site.token(Link.CONFIRM, site.asked(f'bo.{language}@example.com'))}"
    person = f"/p/{site.token(Link.PREFERENCES)}"
    unsubscribe = f"/u/{site.bot.signer.unsubscribe_token(1, 'weekly')}"
    agree = f"/a/old/{site.token(Link.AGREE_OLD)}"
    got = ["/subscribe", "/subscribe/embed", "/subscribe/sent", confirm, "/c/00", "/lost"]
    got += [person, f"{person}/address", f"{person}/leave", f"{person}/erase", unsubscribe, agree]
    posted: list[tuple[str, dict[str, str]]] = [
        ("/subscribe", {"address": '"<&', "name": "\u2028", "form": site.shown()}),
        ("/subscribe", {"address": "a@example.com", "list": "weekly", "form": site.shown(0)}),
        *[("/subscribe", {"address": "a@example.com", "list": "weekly"})] * 2,
        (confirm, {}),
        (confirm, {}),
        (person, {"do": "save", "list": "weekly"}),
        (person, {"do": "save", "day": "x", "name": "a\u2028b"}),
        (f"{person}/address", {"address": "x"}),
        (f"{person}/leave", {}),
        (unsubscribe, {}),
        (agree, {}),
    ]
    found = {path: site.web.get(path, headers=headers).text for path in got}
    send = partial(site.web.post, follow_redirects=True)
    for number, (path, fields) in enumerate(posted):
        found[f"{path}-{number}"] = send(path, data=fields, headers=headers).text
    return found


def test_every_page_is_valid_html_in_english_and_japanese(
    site_with: Callable[..., Site],
    tmp_path: Path,
    complaints: Callable[[Path], Sequence[str]],
) -> None:
    site = site_with(SIGNUP, LISTS)
    site.bot.people.ask_address_change(1, "new@example.com")
    folder = tmp_path / "pages"
    folder.mkdir()
    for language in ("en", "ja"):
        for number, (path, text) in enumerate(pages(site, language).items()):
            assert text.startswith("<!DOCTYPE html>"), path
            (folder / f"{language}-{number}.html").write_text(text, encoding="utf-8")
    assert complaints(folder) == []


def test_everything_that_is_filled_in_has_a_label_and_every_id_is_one_things(
    site_with: Callable[..., Site],
) -> None:
    for path, text in pages(site_with(SIGNUP, LISTS), "en").items():
        page = lxml.html.document_fromstring(text)
        ids = [one.get("id") for one in page.iter() if one.get("id")]
        assert len(ids) == len(set(ids)), path
        labelled = {one.get("for") for one in page.iter("label")}
        for field in [*page.iter("input"), *page.iter("select")]:
            assert field.get("type") == "hidden" or field.get("id") in labelled, path
        for one in page.iter():
            for other in one.get("aria-describedby", "").split():
                assert other in ids, path
        assert len(list(page.iter("h1"))) == 1, path
        assert len(list(page.iter("main"))) == 1, path
