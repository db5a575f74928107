from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

Run = Callable[..., Any]

TABLE = '\n[dkim]\ndomain = "news.example.com"\nselector = "nb1"\nkey_file = "dkim.pem"\n'


def configure(newsletter: Path, more: str = TABLE) -> None:
    path = newsletter / "newsletter.toml"
    path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")


def public_half(value: str) -> bytes:
    return base64.b64decode(value.partition("p=")[2])


def test_a_key_is_made_once_and_its_record_printed(run: Run, newsletter: Path) -> None:
    configure(newsletter)
    first = run("dkim", "generate", json=True)
    assert first.code == 0
    (record,) = first.json["records"]
    assert (record["name"], record["type"]) == ("nb1._domainkey.news.example.com", "TXT")
    key = load_der_public_key(public_half(record["value"]))
    assert isinstance(key, RSAPublicKey)
    assert key.key_size == 2048
    path = newsletter / "dkim.pem"
    assert first.json["made"] == [str(path)]
    assert path.stat().st_mode & 0o777 == 0o600
    kept = path.read_bytes()
    again = run("dkim", "generate", "--bits", "4096", json=True)
    assert (again.json["records"], again.json["made"]) == ([record], [])
    assert path.read_bytes() == kept
    assert "stays as it is" in run("dkim", "generate").out


def test_the_record_is_cut_into_strings_that_dns_can_hold(run: Run, newsletter: Path) -> None:
    configure(newsletter)
    value = run("dkim", "generate", "--bits", "4096", json=True).json["records"][0]["value"]
    printed = run("dkim", "generate").out
    assert "nb1._domainkey.news.example.com. IN TXT ( " in printed
    strings = re.findall(r'"([^"]*)"', printed)
    assert "".join(strings) == value
    assert len(strings) == 3
    assert max(map(len, strings)) == 255


def test_a_second_key_gets_a_selector_and_the_lines_to_configure(
    run: Run, newsletter: Path
) -> None:
    configure(newsletter)
    found = run("dkim", "generate", "--ed25519", json=True).json
    assert [one["name"].partition(".")[0] for one in found["records"]] == ["nb1", "nb1e"]
    second = found["records"][1]["value"]
    assert second.startswith("v=DKIM1; k=ed25519; p=")
    Ed25519PublicKey.from_public_bytes(public_half(second))
    assert (newsletter / "dkim-ed25519.pem").stat().st_mode & 0o777 == 0o600
    assert 'ed25519_selector = "nb1e"' in run("dkim", "generate", "--ed25519").out
    configure(newsletter, found["configuration"].partition('key_file = "dkim.pem"\n')[2])
    printed = run("dkim", "generate")
    assert "nb1e._domainkey" in printed.out
    assert "ed25519_selector" not in printed.out


def test_without_a_table_it_says_what_to_add(run: Run, newsletter: Path) -> None:
    result = run("dkim", "generate")
    assert result.code == 78
    assert "has no table [dkim]" in result.err
    assert TABLE.strip() in result.err
    configure(newsletter, result.err.partition("[dkim]\n")[2].join(["[dkim]\n", ""]))
    assert run("dkim", "generate").code == 0


def test_options_stand_in_for_the_table(run: Run, newsletter: Path) -> None:
    words = ["--domain", "bücher.example", "--selector", "s1", "--key-file", "key.pem"]
    found = run("dkim", "generate", *words, json=True).json
    assert found["records"][0]["name"] == "s1._domainkey.xn--bcher-kva.example"
    assert (newsletter / "key.pem").exists()
    assert "[dkim]" in found["configuration"]


def test_a_key_that_cannot_be_made_or_read_is_explained(run: Run, newsletter: Path) -> None:
    words = ["dkim", "generate", "--domain", "example.com", "--key-file"]
    nowhere = run(*words, "none/key.pem", "--selector", "s1")
    assert (nowhere.code, "cannot be written" in nowhere.err) == (78, True)
    (newsletter / "text.pem").write_text("no key", encoding="ascii")
    text = run(*words, "text.pem", "--selector", "s1")
    assert (text.code, "no private key in PEM" in text.err) == (78, True)
    assert (newsletter / "text.pem").read_text(encoding="ascii") == "no key"
    bad = run(*words, "key.pem", "--selector", "a b")
    assert (bad.code, "dkim.selector" in bad.err) == (78, True)
    assert run(*words, "key.pem", "--selector", "s1", "--bits", "512").code == 2


def test_what_the_command_made_signs_what_is_rendered(
    run: Run, newsletter: Path, write_issue: Callable[..., Path]
) -> None:
    configure(newsletter)
    write_issue()
    unsigned = run("render", "2026-W01", "--out", str(newsletter / "out"))
    assert (unsigned.code, "dkim.pem cannot be read" in unsigned.err) == (78, True)
    run("dkim", "generate")
    assert run("render", "2026-W01", "--out", str(newsletter / "out")).code == 0
    message = (newsletter / "out" / "message.eml").read_bytes()
    assert message.startswith(b"DKIM-Signature: v=1; a=rsa-sha256;")
    assert run("check", "2026-W01", json=True).json["problems"] == []
