from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from newsletter_bot.service.doctor import around
from newsletter_bot.service.doctor.model import Level
from newsletter_bot.settings import load
from tests.conftest import SmtpServer
from tests.servers.certificates import Authority
from tests.servers.dns_server import NameServer, name_server
from tests.servers.imap_server import PASSWORD, USER, ImapServer
from tests.servers.page_server import Page, PageServer, page_server
from tests.servers.pop3_server import Pop3Server
from tests.servers.providers import ProviderServer, fake, fakes, provider_server
from tests.servers.providers.mailgun import Fake

Run = Callable[..., Any]
DOMAIN = "news.example.com"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what a machine remembers out of the home of whoever runs the tests."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))


@pytest.fixture
def names() -> Iterator[NameServer]:
    with name_server() as server:
        server.text(DOMAIN, "v=spf1 ip4:192.0.2.1 -all")
        server.text(f"_dmarc.{DOMAIN}", "v=DMARC1; p=none; rua=mailto:x@example.com")
        server.zone[DOMAIN, "MX"] = ["10 mail.example.com."]
        yield server


@pytest.fixture
def pages() -> Iterator[PageServer]:
    with page_server() as server:
        server.pages["/healthz"] = Page(b'{"ok": true}')
        yield server


@pytest.fixture
def providers() -> Iterator[ProviderServer]:
    with provider_server(Fake()) as server:
        yield server


def configure(newsletter: Path, transport: dict[str, Any], more: str = "") -> None:
    """Write [transport] anew, and what follows it."""
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in transport.items())
    toml = newsletter / "newsletter.toml"
    before = toml.read_text(encoding="utf-8").partition("[transport]")[0]
    toml.write_text(f"{before}[transport]\n{lines}{more}", encoding="utf-8")


def levels(result: Any) -> dict[str, str]:
    """Return the worst level of each name."""
    order = ["ok", "warning", "error"]
    found: dict[str, str] = {}
    for one in result.json["checks"]:
        worst = max(order.index(one["level"]), order.index(found.get(one["name"], "ok")))
        found[one["name"]] = order[worst]
    return found


def said(result: Any, name: str) -> str:
    found = [one for one in result.json["checks"] if one["name"] == name]
    assert found, levels(result)
    return "\n".join(f"{one['message']} {one['next_step']}" for one in found)


@pytest.fixture
def look(run: Run, names: NameServer, newsletter: Path) -> Run:
    """`doctor` on a newsletter whose files only its owner can read."""
    (newsletter / "secret.key").chmod(0o600)
    return lambda: run("doctor", "--dns", names.address, json=True)


def test_each_thing_in_order_is_called_so(
    look: Run, newsletter: Path, smtp_server: Callable[..., SmtpServer]
) -> None:
    server = smtp_server()
    bounces = newsletter / "bounces"
    for part in ("new", "cur", "tmp"):
        (bounces / part).mkdir(parents=True)
    (bounces / "new" / "1").write_text("From: x@y.example\n\nHi\n")
    more = '\n[[mailboxes]]\nname = "bounces"\nkind = "maildir"\npath = "bounces"\n'
    more += '\n[alerts]\nurls = ["json://127.0.0.1:9/"]\n'
    configure(newsletter, {"kind": "smtp", "port": server.port, "tls": "none"}, more)
    result = look()
    found = levels(result)
    assert found.pop("public address") == "error"  # nothing answers at news.example.com
    assert found.pop("dkim") == "warning"  # this server may sign, or may not
    assert set(found.values()) == {"ok"}, result.json
    expected = {"secret", "database", "instance", "relay default", "mailbox bounces", "alerts"}
    assert found.keys() >= expected | {f"{one} {DOMAIN}" for one in ("spf", "dmarc", "mx")}
    assert f"it takes mail from {DOMAIN}" in said(result, "relay default")
    assert (bounces / "new" / "1").exists()
    assert server.messages() == []
    assert (result.code, result.json["ok"]) == (1, False)


def test_people_are_told_what_to_do_next(run: Run, newsletter: Path) -> None:
    (newsletter / "secret.key").chmod(0o600)
    result = run("doctor", "--offline")
    assert result.code == 0
    assert "next: Set NEWSLETTER_BOT_ALERTS__URLS" in result.out
    assert "nobody was asked over the network" in result.out
    (newsletter / "secret.key").unlink()
    result = run("doctor", "--offline")
    assert result.code == 1
    assert "Restore that file from a backup" in result.out


def test_offline_nobody_is_asked(
    run: Run, newsletter: Path, providers: ProviderServer, names: NameServer
) -> None:
    configure(newsletter, providers.behaviour.options(providers.url))
    result = run("doctor", "--offline", "--dns", names.address, json=True)
    assert levels(result)["relay default"] == "ok"
    assert (providers.calls, names.asked) == ([], [])


def test_a_configuration_that_cannot_be_read_is_a_check_too(run: Run, newsletter: Path) -> None:
    toml = newsletter / "newsletter.toml"
    for broken in ("[newsletter\n", toml.read_text(encoding="utf-8") + "\n[tarnsport]\n"):
        toml.write_text(broken, encoding="utf-8")
        result = run("doctor", json=True)
        assert result.code == 1
        (check,) = result.json["checks"]
        assert (check["name"], check["ok"]) == ("newsletter.toml", False)
        assert check["next_step"]


# ── the folder and the database ──────────────────────────────────────────────────────────────


def test_secrets_that_others_can_read_are_told(run: Run, newsletter: Path) -> None:
    (newsletter / "smtp.password").write_text("hunter2")
    (newsletter / "smtp.password").chmod(0o640)
    (newsletter / "secret.key").chmod(0o644)
    transport = {"kind": "smtp", "username": "u", "password_file": "smtp.password"}
    configure(newsletter, transport, '\n[[webhooks]]\nname = "a"\nurl = "https://a.example"\n')
    result = run("doctor", "--offline", json=True)
    found = levels(result)
    assert (found["secret_file"], found["transport.password_file"]) == ("error", "warning")
    assert f"chmod 600 {newsletter / 'secret.key'}" in said(result, "secret_file")
    assert "hunter2" not in result.out
    (newsletter / "smtp.password").unlink()
    assert levels(run("doctor", "--offline", json=True))["transport.password_file"] == "error"


def test_secrets_in_newsletter_toml_are_told_and_never_shown(run: Run, newsletter: Path) -> None:
    configure(newsletter, {"kind": "smtp", "username": "u", "password": "hunter2"})
    result = run("doctor", "--offline", json=True)
    assert "transport.password" in said(result, "newsletter.toml")
    assert "hunter2" not in result.out


def test_a_key_that_is_short_or_vouches_for_somebody_else_is_told(
    run: Run, newsletter: Path
) -> None:
    table = '\n[dkim]\ndomain = "{}"\nselector = "a"\nkey_file = "{}.pem"\n'
    for bits, level in ((2048, "ok"), (1024, "warning")):
        configure(newsletter, {"kind": "maildir"}, table.format(DOMAIN, bits))
        assert run("dkim", "generate", "--bits", str(bits)).code == 0
        assert levels(run("doctor", "--offline", json=True))["signing"] == level
    configure(newsletter, {"kind": "maildir"}, table.format("other.example", 2048))
    result = run("doctor", "--offline", json=True)
    assert "does not vouch for" in said(result, "signing")


def test_a_newsletter_without_a_postal_address_cannot_be_sent(run: Run, newsletter: Path) -> None:
    toml = newsletter / "newsletter.toml"
    lines = toml.read_text(encoding="utf-8").splitlines()
    kept = [one for one in lines if not one.startswith("postal_address")]
    toml.write_text("\n".join(kept), encoding="utf-8")
    assert levels(run("doctor", "--offline", json=True))["postal address"] == "error"


def test_a_database_of_another_version_is_left_as_it_is(run: Run, newsletter: Path) -> None:
    run("doctor", "--offline")
    with sqlite3.connect(newsletter / "newsletter.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    result = run("doctor", "--offline", json=True)
    assert levels(result)["database"] == "error"
    assert "another version" in said(result, "database")


def test_a_database_that_does_not_answer_is_told(run: Run, newsletter: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    more = f'\n[database]\nurl = "postgresql://nobody:hunter2@127.0.0.1:{port}/x"\n'
    configure(newsletter, {"kind": "maildir"}, more)
    result = run("doctor", "--offline", json=True)
    assert levels(result)["database"] == "error"
    assert "hunter2" not in result.out


def test_a_database_that_cannot_be_opened_is_told(run: Run, newsletter: Path) -> None:
    more = '\n[database]\nurl = "sqlite:///nowhere/newsletter.db"\n'
    configure(newsletter, {"kind": "maildir"}, more)
    result = run("doctor", "--offline", json=True)
    assert levels(result)["database"] == "error"
    assert "unable to open" in said(result, "database")


def test_a_copy_of_the_database_is_in_quarantine(
    run: Run, newsletter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "here"))
    run("instance", "adopt")
    assert levels(run("doctor", "--offline", json=True))["instance"] == "ok"
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "there"))
    result = run("doctor", "--offline", json=True)
    assert levels(result)["instance"] == "error"
    assert "instance adopt" in said(result, "instance")


# ── the ways out and back ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fault", "words", "level"),
    [
        ("connect=554 no", "554", "error"),
        ("ehlo=drop", "broke off the greeting", "error"),
        ("mail=550 5.7.1 sender denied", "takes no mail from bounce@news.example.com", "error"),
        ("mail=451 later", "451 later", "warning"),
        ("mail=drop", "hung up", "error"),
    ],
)
def test_a_relay_that_would_not_take_mail_is_told(
    look: Run,
    newsletter: Path,
    smtp_server: Callable[..., SmtpServer],
    fault: str,
    words: str,
    level: str,
) -> None:
    server = smtp_server(fault)
    configure(newsletter, {"kind": "smtp", "port": server.port, "tls": "none"})
    result = look()
    assert levels(result)["relay default"] == level
    assert words in said(result, "relay default")


def test_a_certificate_that_cannot_be_trusted_is_told(
    look: Run, newsletter: Path, smtp_server: Callable[..., SmtpServer], tmp_path: Path
) -> None:
    server = smtp_server(more=Authority(tmp_path / "unknown").identity().words())
    configure(newsletter, {"kind": "smtp", "host": "localhost", "port": server.port})
    assert "certificate that cannot be trusted" in said(look(), "relay default")


def test_a_provider_is_asked_about_key_and_domain(
    look: Run, newsletter: Path, providers: ProviderServer
) -> None:
    behaviour = providers.behaviour
    configure(newsletter, behaviour.options(providers.url))
    result = look()
    found = levels(result)
    assert (found["relay default"], found["events default"]) == ("ok", "warning")
    assert f"https://{DOMAIN}/hooks/mailgun" in said(result, "events default")
    assert "dkim" not in found  # the provider signs
    assert providers.handed_over == []
    signed = {**behaviour.options(providers.url), "webhook_signing_key": "k" * 20}
    configure(newsletter, signed)
    assert levels(look())["events default"] == "ok"
    configure(newsletter, behaviour.wrong(providers.url))
    result = look()
    assert levels(result)["relay default"] == "error"
    assert not any(one in result.out for one in behaviour.secrets())


@pytest.mark.parametrize("kind", fakes())
def test_each_provider_says_whether_its_credentials_are_good(
    look: Run, newsletter: Path, kind: str
) -> None:
    with provider_server(fake(kind)) as server:
        behaviour = server.behaviour
        configure(newsletter, {"kind": kind, **behaviour.options(server.url)})
        result = look()
        assert levels(result)["relay default"] != "error", said(result, "relay default")
        configure(newsletter, {"kind": kind, **behaviour.wrong(server.url)})
        wrong = look()
        assert levels(wrong)["relay default"] == "error"
        assert server.handed_over == []
        shown = result.out + result.err + wrong.out + wrong.err
        assert not any(one in shown for one in behaviour.secrets())


def test_a_provider_that_is_not_there_is_told(look: Run, newsletter: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    configure(newsletter, Fake().options(f"http://127.0.0.1:{port}"))
    result = look()
    assert levels(result)["relay default"] == "error"


def test_several_relays_are_looked_at_each_for_what_it_carries(
    look: Run, newsletter: Path, smtp_server: Callable[..., SmtpServer]
) -> None:
    server = smtp_server()
    relay = f'kind = "smtp"\nport = {server.port}\ntls = "none"\n'
    more = f'\n[[relays]]\nname = "one"\n{relay}'
    more += f'\n[[relays]]\nname = "two"\nfrom_domains = ["other.example"]\n{relay}'
    more += '\n[[relays]]\nname = "three"\nkind = "pigeon"\n'
    configure(newsletter, {}, more)
    result = look()
    found = levels(result)
    assert (found["relay one"], found["relay two"]) == ("ok", "warning")
    assert "Nothing is sent this way" in said(result, "relay two")
    assert "'pigeon' is not a transport" in said(result, "relay three")


def test_mailboxes_are_looked_into_and_left_as_they_are(look: Run, newsletter: Path) -> None:
    imap, pop3 = ImapServer(), Pop3Server()
    imap.inbox.add(b"From: x@y.example\r\n\r\nHi\r\n")
    pop3.drop.add(b"From: x@y.example\r\n\r\nHi\r\n")
    (newsletter / "password").write_text(PASSWORD, encoding="utf-8")
    login = f'username = "{USER}"\npassword_file = "password"\nhost = "127.0.0.1"\ntls = "none"\n'
    more = f'\n[[mailboxes]]\nname = "one"\nkind = "imap"\nport = {imap.port}\n{login}'
    more += f'\n[[mailboxes]]\nname = "two"\nkind = "pop3"\nport = {pop3.port}\n{login}'
    configure(newsletter, {"kind": "maildir"}, f"{more}delete = true\n")
    try:
        result = look()
        assert levels(result)["mailbox one"] == "ok", result.json
        assert levels(result)["mailbox two"] == "ok", result.json
        assert (len(imap.inbox.mails), len(pop3.drop.mails)) == (1, 1)
        assert list(imap.folders) == ["INBOX"]
        (newsletter / "password").write_text("wrong", encoding="utf-8")
        result = look()
        assert levels(result)["mailbox one"] == levels(result)["mailbox two"] == "error"
    finally:
        imap.close()
        pop3.close()


def test_options_of_a_mailbox_are_looked_at_without_the_network(run: Run, newsletter: Path) -> None:
    more = '\n[[mailboxes]]\nname = "bounces"\nkind = "maildir"\npath = "nowhere"\n'
    configure(newsletter, {"kind": "maildir"}, more)
    assert levels(run("doctor", "--offline", json=True))["mailbox bounces"] == "ok"
    configure(newsletter, {"kind": "maildir"}, f"{more}folder = 1\n")
    result = run("doctor", "--offline", json=True)
    assert "unknown key 'mailboxes.bounces.folder'" in said(result, "mailbox bounces")


def test_what_is_wrong_with_a_provider_is_said_once(run: Run, newsletter: Path) -> None:
    configure(newsletter, {"kind": "resend", "api_key": "x", "host": "h", "port": 25})
    result = run("doctor", "--offline", json=True)
    assert "unknown keys 'transport.host', 'transport.port'. Known" in said(result, "relay default")
    assert "events default" not in levels(result)


def test_a_mailbox_that_cannot_be_read_is_told(look: Run, newsletter: Path) -> None:
    more = '\n[[mailboxes]]\nname = "bounces"\nkind = "maildir"\npath = "nowhere"\n'
    configure(newsletter, {"kind": "maildir"}, more)
    result = look()
    assert levels(result)["mailbox bounces"] == "error"
    assert "no Maildir" in said(result, "mailbox bounces")


# ── what lies around ─────────────────────────────────────────────────────────────────────────


def test_the_public_address_is_asked_whether_it_is_ours(
    newsletter: Path, pages: PageServer
) -> None:
    toml = newsletter / "newsletter.toml"
    text = toml.read_text(encoding="utf-8").replace(f'"https://{DOMAIN}"', f'"{pages.url}"')
    toml.write_text(text, encoding="utf-8")
    settings = load(newsletter)
    insecure, answered = around.public_address(settings, offline=False)
    assert (insecure.level, answered.level) == (Level.ERROR, Level.OK)
    for page in (
        Page(b"<h1>Welcome</h1>"),
        Page(status=502),
        Page(b"[" * 9000),
        Page(b"x" * 20000),
    ):
        pages.pages["/healthz"] = page
        *_, answered = around.public_address(settings, offline=False)
        assert answered.level is Level.ERROR
        assert "newsletter-bot run" in answered.next_step


def test_channels_and_alerts_are_read_as_they_will_be(run: Run, newsletter: Path) -> None:
    more = '\n[alerts]\nurls = ["nonsense"]\n[channels.slack]\n'
    more += 'webhook = "https://hooks.slack.example/x"\n[channels.pigeon]\n'
    configure(newsletter, {"kind": "maildir"}, more)
    result = run("doctor", "--offline", json=True)
    found = levels(result)
    assert (found["alerts"], found["channel pigeon"]) == ("error", "error")
    assert "hooks.slack.example" not in result.out
