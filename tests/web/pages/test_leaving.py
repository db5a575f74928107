from __future__ import annotations

from functools import partial

import pytest

from newsletter_bot.subscribers.consent import By, Choices, Frequency
from tests.web.pages.conftest import Site

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def path(site: Site, list_id: str = "weekly") -> str:
    return f"/u/{site.bot.signer.unsubscribe_token(1, list_id)}"


def last(site: Site) -> tuple[str, str, str]:
    row = site.rows("subscription_changes")[-1]
    return row["list"], row["state"], row["by"]


def test_it_is_kept_whether_a_mail_program_or_the_button_left(any_site: Site) -> None:
    site = any_site
    multipart = {"List-Unsubscribe": (None, "One-Click")}  # RFC 8058 section 3.2 allows both
    for send, by in (
        (partial(site.web.post, data=ONE_CLICK), "one-click"),
        (partial(site.web.post, files=multipart), "one-click"),
        (site.web.post, "page"),
    ):
        assert send(path(site)).status_code == 200
        assert last(site) == ("weekly", "unsubscribed", by)
        again = Choices("Ada", "en", Frequency.EVERY, None, frozenset({"weekly"}))
        site.bot.people.choose(1, again, By.PAGE)


def test_one_click_ends_the_one_list_of_its_mail(site: Site) -> None:
    site.web.post(path(site, "jobs"), data=ONE_CLICK)
    assert site.state("ada@example.com") == "active"


def test_again_and_again_it_is_the_same_answer_and_one_change(any_site: Site) -> None:
    first = any_site.web.post(path(any_site), data=ONE_CLICK)
    before = any_site.everything()
    for _ in range(3):
        again = any_site.web.post(path(any_site), data=ONE_CLICK)
        assert (again.status_code, again.content) == (200, first.content)
    assert any_site.everything() == before


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_page_leads_to_the_form_and_never_to_the_preferences(site: Site, method: str) -> None:
    text = site.web.request(method, path(site)).text
    assert "/p/" not in text
    assert ("Subscribe again" in text) == (method == "POST")
