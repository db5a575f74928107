from __future__ import annotations

import pytest

from newsletter_bot.errors import TryAgainError
from newsletter_bot.subscribers.tokens import Link
from newsletter_bot.web.readers.failing import failure
from newsletter_bot.web.readers.pages import Answers
from tests.web.pages.conftest import Site


@pytest.mark.parametrize(
    ("status", "language", "said"),
    [
        (400, "en", "This could not be read"),
        (404, "de", "Diese Seite gibt es nicht"),
        (405, "fr", "Cette demande est illisible"),
        (413, "ja", "送信内容を読み取れませんでした"),
        (429, "zh", "请稍候"),
        (500, "ja", "エラーが発生しました"),
        (503, "en", "Just a moment"),
    ],
)
def test_each_failure_has_a_page_in_the_visitors_language(
    site: Site, status: int, language: str, said: str
) -> None:
    answer = failure(Answers(site.bot.settings), language, status)
    assert answer.status_code == status
    assert said in bytes(answer.body).decode()
    assert f'lang="{language}"' in bytes(answer.body).decode()
    assert answer.headers["cache-control"] == "no-store"


def test_a_lost_visitor_reads_so_in_their_language(site: Site) -> None:
    answer = site.web.get("/no/such/page", headers={"Accept-Language": "ja"})
    assert answer.status_code == 404
    assert "ページが見つかりません" in answer.text
    assert site.web.post("/no/such/page", headers={"Accept-Language": "ja"}).status_code == 405


def test_a_wrong_method_is_told_which_there_are(site: Site) -> None:
    answer = site.web.delete("/subscribe")
    assert answer.status_code == 405
    assert answer.headers["allow"]
    assert "This could not be read" in answer.text


def test_a_fault_of_ours_tells_nothing_of_our_insides(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_number: int) -> None:
        raise RuntimeError("the secret is 0123456789abcdef")

    monkeypatch.setattr(site.bot.people, "address_of", broken)
    answer = site.web.get(f"/p/{site.token(Link.PREFERENCES)}")
    assert answer.status_code == 500
    assert "Something went wrong here" in answer.text
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_database_that_is_busy_is_said_to_be_so(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object) -> None:
        raise TryAgainError("database is locked")

    monkeypatch.setattr(site.bot.people, "ask", busy)
    answer = site.sign_up()
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "60"
    assert "Just a moment" in answer.text
    assert "locked" not in answer.text
