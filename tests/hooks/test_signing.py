from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from newsletter_bot.errors import ConfigurationError
from newsletter_bot.hooks.model import Owed
from newsletter_bot.hooks.signing import secrets_of, signed, written
from newsletter_bot.settings.people import WebhookTable

SECRET = b"0123456789abcdef" * 4
OWED = Owed(1, "crm", "evt_1", "subscriber.confirmed", {"name": "Grüße 三 \ud83d"}, 1_764_000_000)


def table(name: str = "crm", file: str | None = None) -> WebhookTable:
    return WebhookTable(name=name, url="https://example.com/hook", secret_file=file)


def test_the_library_that_endpoints_use_verifies_what_we_sign(tmp_path: Path) -> None:
    secrets = secrets_of(table(), tmp_path, SECRET)
    headers = signed(OWED.uid, int(time.time()), OWED.body(), secrets)
    found = Webhook(written(secrets[0])).verify(OWED.body(), dict(headers))
    assert found == {
        "type": "subscriber.confirmed",
        "timestamp": "2025-11-24T16:00:00Z",
        "data": OWED.data,
    }


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_header_that_was_changed_is_found_out(tmp_path: Path, header: str) -> None:
    secrets = secrets_of(table(), tmp_path, SECRET)
    headers = dict(signed(OWED.uid, int(time.time()), OWED.body(), secrets))
    other = {
        "webhook-id": "evt_2",
        "webhook-timestamp": str(int(time.time()) - 60),
        "webhook-signature": "v1," + base64.b64encode(b"x" * 32).decode(),
    }
    headers[header] = other[header]
    with pytest.raises(WebhookVerificationError):
        Webhook(written(secrets[0])).verify(OWED.body(), headers)


def test_every_endpoint_has_a_secret_of_its_own_that_stays(tmp_path: Path) -> None:
    one, other = (secrets_of(table(name), tmp_path, SECRET) for name in ("crm", "shop"))
    assert one == secrets_of(table(), tmp_path, SECRET)
    assert one != other
    assert one != secrets_of(table(), tmp_path, SECRET + b"x")
    assert written(one[0]).startswith("whsec_")


def test_while_a_secret_is_changed_the_old_and_the_new_one_are_both_good(tmp_path: Path) -> None:
    new, old = written(b"n" * 32), written(b"o" * 24)
    (tmp_path / "crm.secret").write_text(f"{new}\n\n{old}\n")
    secrets = secrets_of(table(file="crm.secret"), tmp_path, SECRET)
    headers = dict(signed(OWED.uid, int(time.time()), OWED.body(), secrets))
    for secret in (new, old):
        assert Webhook(secret).verify(OWED.body(), headers) == json.loads(OWED.body())
    assert headers["webhook-signature"].count(" ") == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"", "has 0 lines"),
        (b"a\nb\nc\n", "has 3 lines"),
        (b"correct horse battery staple", "no secret"),
        (written(b"x" * 23).encode(), "no secret"),
        (written(b"x" * 65).encode(), "no secret"),
        (written(b"x" * 32).removeprefix("whsec_").encode(), "no secret"),
        (b"whsec_!!!!" + b"A" * 40, "no secret"),
        ("whsec_ü".encode(), "no secret"),
    ],
)
def test_a_file_that_holds_no_secret_is_explained_and_not_repeated(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "crm.secret").write_bytes(content)
    with pytest.raises(ConfigurationError, match=said) as caught:
        secrets_of(table(file="crm.secret"), tmp_path, SECRET)
    assert "webhooks.crm.secret_file" in caught.value.message
    assert content is None or b"horse" not in caught.value.message.encode()
