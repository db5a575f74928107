"""The signer against AWS's own test suite, of which sigv4.json holds requests and signatures.

Left out: a header value of several lines, which no client of HTTP sends.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from newsletter_bot.delivery.transports.ses.sigv4 import Credentials, Signer

SUITE = json.loads(Path(__file__).with_name("sigv4.json").read_text(encoding="utf-8"))
SIGNER = Signer(Credentials(SUITE["key_id"], SUITE["secret"]), SUITE["region"], SUITE["service"])


@pytest.mark.parametrize("case", SUITE["cases"], ids=lambda case: case["name"])
def test_it_signs_as_amazon_does(case: dict[str, Any]) -> None:
    host = dict(case["headers"])["Host"]
    headers = [*((name, value) for name, value in case["headers"]), ("X-Amz-Date", SUITE["at"])]
    made = SIGNER.authorization(
        case["method"],
        f"https://{host}{case['target']}",
        headers,
        case["body"].encode(),
        SUITE["at"],
    )
    scope = "20150830/us-east-1/service/aws4_request"
    assert made.startswith(f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders=")
    assert made.endswith(f", Signature={case['signature']}")


def test_a_temporary_credential_shows_and_signs_its_token() -> None:
    signer = Signer(Credentials("AKID", "secret", "tok"), "eu-west-1", "ses")
    sent = signer.sign("GET", "https://email.eu-west-1.amazonaws.com/v2", {}, b"", 1_440_938_160)
    assert sent["X-Amz-Security-Token"] == "tok"
    assert sent["X-Amz-Date"] == "20150830T123600Z"
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token" in sent["Authorization"]


def test_secrets_are_not_shown() -> None:
    assert "hush" not in repr(Signer(Credentials("AKID", "hush", "hush"), "eu-west-1", "ses"))
