"""The preview's answers, asked without a browser."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient
from PIL import Image as Picture

from newsletter_bot.errors import TryAgainError
from newsletter_bot.web.previewing.preview import make_app
from newsletter_bot.web.previewing.server import PreviewServer, address, listen
from newsletter_bot.web.previewing.watch import Watch

PATIENCE = 30.0  # seconds


@pytest.fixture
def issue(write_issue: Callable[..., Path]) -> Path:
    return write_issue()


@pytest.fixture
def client(newsletter: Path, issue: Path) -> TestClient:
    return TestClient(make_app(newsletter, issue), base_url="http://127.0.0.1:8025")


@contextmanager
def running(folder: Path, issue: Path) -> Iterator[str]:
    listening = listen(0)
    url = address(listening)
    server = PreviewServer(make_app(folder, issue))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield url
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive(), "an open event stream kept the server"


@contextmanager
def states(folder: Path, issue: Path) -> Iterator[Iterator[dict[str, Any]]]:
    """What the event stream of a real server tells, as it comes."""
    with (
        running(folder, issue) as url,
        httpx.stream("GET", f"{url}events", timeout=PATIENCE) as answer,
    ):
        lines = answer.iter_lines()
        yield (json.loads(line[6:]) for line in lines if line.startswith("data: "))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    save(path, text.replace(old, new).encode())


def save(path: Path, content: bytes) -> None:
    """Save as editors do, in one step: no half-written file is seen and told."""
    beside = path.with_name(f"{path.name}~")
    beside.write_bytes(content)
    beside.replace(path)


def square(colour: str) -> bytes:
    picture = io.BytesIO()
    Picture.new("RGB", (40, 40), colour).save(picture, "PNG")
    return picture.getvalue()


def test_mail_and_web_page_are_served_in_both_schemes(client: TestClient) -> None:
    for page in ("mail-light", "mail-dark", "web-light", "web-dark"):
        assert "Very deep networks" in client.get(f"/issue/{page}").text


def test_the_slots_of_the_inbox_line_are_filled(newsletter: Path, issue: Path) -> None:
    edit(issue, "Why very deep", "{{ first_name | Friend }}: why very deep")
    with states(newsletter, issue) as told:
        specimen = next(told)["specimen"]
    assert specimen["subjects"] == ["Residual learning, and one more for Ada"]
    assert specimen["preheader"].startswith("Ada: why very deep")
    assert specimen["sender"] == "Weekly ML News"


def test_a_policy_without_scripts_goes_with_every_page_of_the_issue(client: TestClient) -> None:
    for page in ("mail-light", "web-light"):
        policy = client.get(f"/issue/{page}").headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert "allow-scripts" not in policy
        assert "sandbox" in policy


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8025", "127.0.0.1.evil.example", "testserver", ""]
)
def test_another_name_for_this_machine_is_refused(client: TestClient, host: str) -> None:
    for path in ("/", "/issue/mail-light", "/events"):
        assert client.get(path, headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("path", ["/", "/events", "/issue/mail-light", "/issue/img/a.png"])
def test_nothing_can_be_changed_over_http(client: TestClient, path: str) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert client.request(method, path).status_code == 405


def test_a_picture_of_the_issue_is_served_in_mail_and_page(client: TestClient, issue: Path) -> None:
    (issue.parent / "img").mkdir()
    Picture.new("RGB", (40, 30)).save(issue.parent / "img" / "net.png")
    Picture.new("RGB", (40, 30)).save(issue.parent / "img" / "other.png")
    edit(issue, "*[1512.03385]", "![A net](img/net.png)\n\n*[1512.03385]")
    assert 'src="img/net.png"' in client.get("/issue/mail-light").text
    assert 'src="img/net.png"' in client.get("/issue/web-light").text
    answer = client.get("/issue/img/net.png")
    assert answer.headers["content-type"] == "image/png"
    assert answer.content == (issue.parent / "img" / "net.png").read_bytes()
    assert client.get("/issue/img/other.png").status_code == 404, "the issue does not show it"


@pytest.mark.parametrize(
    "place",
    ["2026-W01.md", "..%2Fsecret.key", "%2e%2e/secret.key", "..%2f..%2f..%2fetc/passwd", "no.png"],
)
def test_no_other_file_is_served(client: TestClient, place: str) -> None:
    assert client.get(f"/issue/{place}").status_code == 404
    assert client.get(f"/assets/{place}").status_code == 404


def test_answers_stay_out_of_caches_and_of_other_sites(client: TestClient) -> None:
    for path in ("/", "/assets/preview.js", "/issue/mail-light", "/nowhere"):
        headers = client.get(path).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "default-src 'none'" in headers["content-security-policy"]


def test_a_save_is_told_with_its_errors_and_with_its_recovery(
    newsletter: Path, issue: Path
) -> None:
    with states(newsletter, issue) as told:
        good = next(told)
        assert good["fresh"]
        edit(issue, "status: ready", "status: maybe")
        broken = next(told)
        edit(issue, "status: maybe", "status: ready")
        mended = next(told)
    assert not broken["fresh"]
    assert broken["complaints"][0]["place"] == "issues/2026-W01.md:6"
    assert broken["specimen"] == good["specimen"]
    assert mended == good


def test_pictures_configuration_theme_and_cards_are_watched(newsletter: Path, issue: Path) -> None:
    with states(newsletter, issue) as told:
        seen = next(told)["specimen"]
        edit(issue, "*[1512.03385]", "![A net](net.png)\n\n*[1512.03385]")
        versions = [seen["version"], next(told)["specimen"]["version"]]
        for colour in ("red", "blue"):
            save(issue.parent / "net.png", square(colour))
            versions.append(next(told)["specimen"]["version"])
        edit(newsletter / "newsletter.toml", 'name = "Weekly ML News"', 'name = "Other"')
        versions.append(next(told)["specimen"]["version"])
        edit(newsletter / "newsletter.toml", "[newsletter]", "[newsletter")
        assert "not valid TOML" in next(told)["complaints"][0]["message"]
        edit(newsletter / "newsletter.toml", "[newsletter\n", "[newsletter]\n")
        assert next(told)["fresh"]
        save(issue.with_name("2026-W01.cards.json"), b"{")
        assert "cards.json" in str(next(told)["complaints"])
        issue.with_name("2026-W01.cards.json").unlink()
        assert next(told)["fresh"]
        theme = newsletter / "templates/themes/weekly"
        theme.mkdir(parents=True)
        save(theme / "issue.mjml.j2", b"{{ 1 + 'a' }}")
        assert "cannot be rendered" in next(told)["complaints"][0]["message"]
    assert len(set(versions)) == len(versions)


def test_a_broken_start_is_shown_and_recovers(newsletter: Path, issue: Path) -> None:
    edit(newsletter / "newsletter.toml", "[newsletter]", "[newsletter")
    with states(newsletter, issue) as told:
        broken = next(told)
        edit(newsletter / "newsletter.toml", "[newsletter\n", "[newsletter]\n")
        mended = next(told)
    assert broken["specimen"] is None
    assert mended["fresh"]


def test_a_save_that_changes_nothing_reloads_nothing(newsletter: Path, issue: Path) -> None:
    watch = Watch(newsletter, issue)
    first = watch.snapshot()
    issue.touch()
    assert watch.snapshot() is first
    edit(issue, "Hello", "Good morning")
    assert watch.snapshot() is not first


def test_a_busy_port_is_an_error_with_a_next_step() -> None:
    with listen(0) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(TryAgainError, match=f"Port {port} is in use") as caught:
            listen(port)
    assert "--port 0" in caught.value.next_step
