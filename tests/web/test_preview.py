from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from newsletter_bot.web.preview import make_app
from newsletter_bot.web.watch import Watch


@pytest.fixture
def client(newsletter: Path, write_issue: Callable[..., Path]) -> Iterator[TestClient]:
    path = write_issue()
    with TestClient(make_app(newsletter, path)) as opened:
        yield opened


def test_every_view_is_served(client: TestClient) -> None:
    assert "Very deep networks" in client.get("/mail/light").text
    assert "Very deep networks" in client.get("/text").text
    assert "Very deep networks" in client.get("/issue/").text
    assert "Residual learning" in client.get("/").text


def test_another_name_for_this_address_is_refused(client: TestClient) -> None:
    for host in ("evil.example", "evil.example:8025", "127.0.0.1.evil.example"):
        assert client.get("/", headers={"host": host}).status_code == 421
    assert client.get("/", headers={"host": "127.0.0.1:8025"}).status_code == 200
    assert client.get("/", headers={"host": "[::1]:8025"}).status_code == 200


@pytest.mark.parametrize(
    "name", ["../newsletter.toml", "..%2Fsecret.key", "2026-W01.md", "/etc/passwd", "none.png"]
)
def test_only_pictures_of_the_issue_are_served(client: TestClient, name: str) -> None:
    assert client.get(f"/issue/{name}").status_code == 404


def test_the_mail_may_not_run_anything(client: TestClient) -> None:
    policy = client.get("/mail/dark").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


def test_nothing_can_be_changed_over_http(client: TestClient) -> None:
    for path in ("/", "/state", "/mail/light", "/text", "/issue/", "/events"):
        assert client.post(path).status_code == 405


def test_a_name_with_markup_is_text_on_the_page(
    client: TestClient, newsletter: Path, write_issue: Callable[..., Path]
) -> None:
    path = write_issue()
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("Residual learning", "<script>x</script>"), encoding="utf-8")
    with TestClient(make_app(newsletter, path)) as fresh:
        assert "&lt;script&gt;x&lt;/script&gt;" in fresh.get("/").text


def test_a_watch_sees_each_save_and_a_new_picture(
    newsletter: Path, write_issue: Callable[..., Path]
) -> None:
    path = write_issue()
    watch = Watch(newsletter, path)
    watch.start()
    try:
        path.write_text("changed", encoding="utf-8")
        second = watch.wait(1, 20)
        assert second == 2
        (newsletter / "issues" / "img").mkdir()
        (newsletter / "issues" / "img" / "a.png").write_bytes(b"x")
        assert watch.wait(second, 20) == 3
    finally:
        watch.stop()
