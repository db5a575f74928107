"""Bad weather: TLS that is absent, false or tampered with, and a login that is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.servers.certificates import Authority, Identity
from tests.servers.outside import Ended, Newsletter, explained, people, trusting

READERS = 3


@pytest.fixture
def authority(tmp_path: Path, outside: Newsletter) -> Authority:
    """A certificate authority that the program trusts, and no other."""
    made = Authority(tmp_path / "authority")
    outside.environment.update(trusting(made.file))
    return made


def _nothing_left_us(outside: Newsletter, server: Any, result: Ended, *words: str) -> None:
    explained(result, *words, f"{READERS} of {READERS} are still owed")
    assert outside.counted(server)["remaining"] == READERS
    assert server.filed() == 0


def _send(outside: Newsletter, server: Any, **settings: Any) -> Ended:
    outside.readers(*people(READERS))
    outside.relay(server.port, **{"tls": "starttls", **settings})
    return outside.send()


@pytest.mark.parametrize("way", ["starttls", "implicit"])
def test_mail_goes_through_tls_with_a_login(
    outside: Newsletter, smtp_server: Any, authority: Authority, way: str
) -> None:
    words = [*authority.identity().words(), "--auth", "news:secret"]
    server = smtp_server(more=[*words, "--implicit-tls"] if way == "implicit" else words)
    result = _send(outside, server, tls=way, username="news", password="secret")
    assert result.code == 0, result.said
    assert outside.counted(server)["accepted"] == READERS


def test_starttls_that_is_not_offered_stops_the_run_before_anything_is_said(
    outside: Newsletter, smtp_server: Any
) -> None:
    server = smtp_server(more=["--auth", "news:secret"])
    result = _send(outside, server, username="news", password="secret")
    _nothing_left_us(outside, server, result, "STARTTLS")


@pytest.mark.parametrize(
    ("wrong", "way"),
    [("issuer", "starttls"), ("name", "starttls"), ("date", "starttls"), ("name", "implicit")],
)
def test_a_certificate_that_is_wrong_stops_the_run(
    outside: Newsletter,
    smtp_server: Any,
    authority: Authority,
    tmp_path: Path,
    wrong: str,
    way: str,
) -> None:
    shown: dict[str, Identity] = {
        "issuer": Authority(tmp_path / "stranger").identity(),
        "name": authority.identity("mail.example.org"),
        "date": authority.identity(days=-1),
    }
    words = shown[wrong].words()
    server = smtp_server(more=[*words, "--implicit-tls"] if way == "implicit" else words)
    said = _send(outside, server, tls=way)
    _nothing_left_us(outside, server, said, "certificate")


def test_what_is_slipped_in_before_tls_is_never_taken_for_the_servers_word(
    outside: Newsletter, smtp_server: Any, authority: Authority
) -> None:
    server = smtp_server(more=[*authority.identity().words(), "--inject"])
    _nothing_left_us(outside, server, _send(outside, server), "TLS")


def test_a_login_that_is_refused_stops_the_run(
    outside: Newsletter, smtp_server: Any, authority: Authority
) -> None:
    server = smtp_server(more=[*authority.identity().words(), "--auth", "news:secret"])
    result = _send(outside, server, username="news", password="wrong")
    _nothing_left_us(outside, server, result, "535 5.7.8")
    assert "wrong" not in result.said, "the password was shown"
    outside.relay(server.port, tls="starttls", username="news", password="secret")
    result = outside.send()
    assert result.code == 0, result.said
    assert outside.counted(server)["accepted"] == READERS


def test_a_server_that_wants_a_login_we_do_not_have_stops_the_run(
    outside: Newsletter, smtp_server: Any, authority: Authority
) -> None:
    server = smtp_server(more=[*authority.identity().words(), "--auth", "news:secret"])
    _nothing_left_us(outside, server, _send(outside, server), "530 5.7.0")
