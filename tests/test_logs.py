from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter_bot.logs import configure, log, redacted


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    yield stream
    root.handlers[:], root.level = before


def test_a_record_is_one_json_object_with_its_action(written: io.StringIO) -> None:
    configure("json", written)
    log("slot.sent", slot="weekly", count=3, error=OSError("disk\nfull"), roles={"web"})
    (line,) = written.getvalue().splitlines()
    told = json.loads(line)
    assert told.pop("at").endswith("+00:00")
    assert told == {
        "level": "info",
        "action": "slot.sent",
        "slot": "weekly",
        "count": 3,
        "error": "OSError: disk\nfull",
        "roles": ["web"],
    }


@pytest.mark.parametrize("style", ["json", "text"])
def test_hostile_text_makes_no_second_record(written: io.StringIO, style: str) -> None:
    configure(style, written)  # type: ignore[arg-type]
    log("x", reason='a\nb\r{"action": "forged"}\u2028c')
    assert len(written.getvalue().split("\n")) == 2


def test_people_tokens_and_passwords_are_not_written(written: io.StringIO) -> None:
    configure("json", written)
    log(
        "x",
        who="Ada <ada.lovelace@example.com>",
        url="https://news.example.com/u/v1.abcdef?x=1",
        sender="bounce+0123abcd@news.example.com",
        relay="smtp://user:hunter2@mail.example.com",
        query="token=abc&x=1",
    )
    text = written.getvalue()
    for secret in ("lovelace", "abcdef", "0123abcd", "hunter2", "token=abc"):
        assert secret not in text
    assert "a…@example.com" in text


def test_libraries_are_heard_from_warnings_on(written: io.StringIO) -> None:
    configure("json", written)
    logging.getLogger("httpx").info("GET https://example.com")
    logging.getLogger("apscheduler").warning("late for %s", "ada@example.com")
    (line,) = written.getvalue().splitlines()
    assert json.loads(line)["action"] == "library.apscheduler"
    assert "a…@example.com" in line


@given(st.emails())
def test_no_address_survives(address: str) -> None:
    local, _, _ = address.rpartition("@")
    if len(local) > 1 and local.isalnum():
        assert address not in redacted(f"to <{address}>: 550")
