from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from newsletter_bot.delivery.composing.dkim_keys import Algorithm, Record, read_key, write_key
from newsletter_bot.errors import UsageError
from newsletter_bot.service.doctor import dmarc, domains
from newsletter_bot.service.doctor.domains import SenderDomain
from newsletter_bot.service.doctor.model import Check, Level
from newsletter_bot.service.doctor.names import NamesError, Resolver
from newsletter_bot.settings import load
from tests.servers.dns_server import NameServer, name_server

DOMAIN = "news.example.com"
OURS = SenderDomain(DOMAIN, ours=True)


@pytest.fixture
def server() -> Iterator[NameServer]:
    with name_server() as made:
        made.text(DOMAIN, "v=spf1 include:relay.example -all", "something else")
        made.text("relay.example", "v=spf1 ip4:192.0.2.0/24 -all")
        made.text(f"_dmarc.{DOMAIN}", "v=DMARC1; p=reject; rua=mailto:dmarc@example.com")
        made.zone[DOMAIN, "MX"] = ["20 second.example.", "10 mail.example."]
        yield made


@pytest.fixture
def names(server: NameServer) -> Resolver:
    return Resolver(server.address)


def found(names: Resolver, what: str, domain: SenderDomain = OURS) -> Check:
    (check,) = [one for one in domains.look(names, domain) if one.name == f"{what} {domain.name}"]
    return check


def test_a_domain_in_order_is_called_so(names: Resolver) -> None:
    checks = list(domains.look(names, OURS))
    assert [one.name.split()[0] for one in checks] == ["spf", "dmarc", "mx"]
    assert {one.level for one in checks} == {Level.OK}
    assert "mail.example, second.example" in checks[2].message
    assert "p=reject" in checks[1].message


@pytest.mark.parametrize(
    ("records", "words", "level"),
    [
        ([], "no SPF record", Level.ERROR),
        (["v=spf10 -all"], "no SPF record", Level.ERROR),
        (["v=spf1 -all", "v=spf1 a -all"], "2 SPF records", Level.ERROR),
        (["v=spf1 +all"], "anybody", Level.ERROR),
        (["v=spf1 all"], "anybody", Level.ERROR),
        (["v=spf1 mx include:gone.example -all"], "no SPF record", Level.ERROR),
        (["v=spf1 " + "a:x.example " * 11 + "-all"], "more than 10", Level.ERROR),
        ([f"v=spf1 include:{DOMAIN} -all"], "more than 10", Level.ERROR),
        (["v=spf1 ip4:192.0.2.1 ?all"], "keeps nobody out", Level.WARNING),
        (["v=spf1 ip4:192.0.2.1"], "keeps nobody out", Level.WARNING),
        (["v=spf1 redirect=relay.example"], "redirect", Level.OK),
        (["v=spf1 exists:%{i}._spf.example ip4:192.0.2.1 ~all"], "exists", Level.OK),
    ],
)
def test_an_spf_record_that_receivers_cannot_use_is_told(
    server: NameServer, names: Resolver, records: list[str], words: str, level: Level
) -> None:
    server.text(DOMAIN, *records)
    check = found(names, "spf")
    assert words in check.message
    assert check.level is level
    assert bool(check.next_step) is (level is not Level.OK)


def test_what_a_providers_api_does_for_itself_is_no_error(
    server: NameServer, names: Resolver
) -> None:
    server.text(DOMAIN)
    server.zone.pop((DOMAIN, "MX"))
    theirs = SenderDomain(DOMAIN, ours=False)
    assert found(names, "spf", theirs).level is Level.WARNING
    assert found(names, "mx", theirs).level is Level.WARNING
    assert found(names, "mx").level is Level.ERROR


@pytest.mark.parametrize(
    ("records", "words", "level"),
    [
        ([], "no DMARC policy", Level.ERROR),
        (["v=DMARC1; p=none", "v=DMARC1; p=reject"], "no DMARC policy", Level.ERROR),
        (["v=spf1 -all"], "no DMARC policy", Level.ERROR),
        (["v=DMARC1; p=none"], "nobody is told", Level.WARNING),
        (["v=DMARC1; p=block; rua=mailto:x@y.example"], "no policy", Level.WARNING),
        (["v=DMARC1; p=none; pct=50; rua=mailto:x@y.example"], "pct", Level.WARNING),
        (["v=DMARC1;p=quarantine;rua=mailto:x@y.example"], "p=quarantine", Level.OK),
    ],
)
def test_a_dmarc_record_is_read_as_receivers_read_it(
    server: NameServer, names: Resolver, records: list[str], words: str, level: Level
) -> None:
    server.text(f"_dmarc.{DOMAIN}", *records)
    check = found(names, "dmarc")
    assert words in check.message
    assert check.level is level


def test_a_policy_is_looked_for_up_the_tree(server: NameServer, names: Resolver) -> None:
    server.text(f"_dmarc.{DOMAIN}")
    server.text("_dmarc.example.com", "v=DMARC1; p=reject; sp=none; rua=mailto:x@y.example")
    policy = dmarc.policy(names, DOMAIN)
    assert policy is not None
    assert (policy.domain, policy.wanted) == ("example.com", "none")
    # A registry's record (psd=y) is nobody's own, and holds where there is no other.
    server.text("_dmarc.com", "v=DMARC1; p=reject; psd=y")
    assert dmarc.policy(names, DOMAIN) == policy
    server.text("_dmarc.example.com")
    policy = dmarc.policy(names, DOMAIN)
    assert policy is not None
    assert policy.domain == "com"


def test_no_name_takes_more_than_eight_questions(server: NameServer, names: Resolver) -> None:
    long = ".".join([*"abcdefghijklm", "example", "com"])
    server.asked.clear()
    assert dmarc.policy(names, long) is None
    assert len(server.asked) == 8
    assert server.asked[0][0] == f"_dmarc.{long}"
    assert server.asked[1][0] == "_dmarc.i.j.k.l.m.example.com"


@pytest.mark.parametrize(
    ("servers", "words", "level"),
    [
        (["0 ."], "takes no mail", Level.ERROR),
        ([], "no mail server", Level.ERROR),
        (["10 mail.example."], "mail.example", Level.OK),
    ],
)
def test_a_domain_that_takes_no_mail_loses_bounces(
    server: NameServer, names: Resolver, servers: list[str], words: str, level: Level
) -> None:
    server.zone[DOMAIN, "MX"] = servers
    check = found(names, "mx")
    assert words in check.message
    assert check.level is level


def test_without_an_mx_record_the_address_itself_is_tried(
    server: NameServer, names: Resolver
) -> None:
    server.zone.pop((DOMAIN, "MX"))
    server.zone[DOMAIN, "A"] = ["192.0.2.7"]
    assert found(names, "mx").level is Level.WARNING


def test_dns_that_does_not_answer_proves_nothing(server: NameServer, names: Resolver) -> None:
    server.failing = True
    checks = list(domains.look(names, OURS))
    assert len(checks) == 3
    assert {one.level for one in checks} == {Level.WARNING}
    assert all("--dns" in one.next_step for one in checks)


def test_a_name_that_is_none_is_no_crash(names: Resolver) -> None:
    for name in ("a..b", "x" * 70 + ".example", "x." * 200):
        with pytest.raises(NamesError):
            names.texts(name)


def test_a_name_server_is_named_by_its_address() -> None:
    for good in ("192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]:5353"):
        Resolver(good)
    for wrong in ("ns.example.com", "192.0.2.1:dns", "x:1:2"):
        with pytest.raises(UsageError):
            Resolver(wrong)


# ── DKIM ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def signing(newsletter: Path) -> Record:
    """The record of a newsletter's new key."""
    toml = newsletter / "newsletter.toml"
    table = f'\n[dkim]\ndomain = "{DOMAIN}"\nselector = "nb1"\nkey_file = "dkim.pem"\n'
    toml.write_text(toml.read_text(encoding="utf-8") + table, encoding="utf-8")
    write_key(newsletter / "dkim.pem", Algorithm.RSA)
    return read_key(newsletter / "dkim.pem", Algorithm.RSA).record("nb1", DOMAIN)


def dkim(names: Resolver, newsletter: Path) -> Check:
    (check,) = domains.dkim(names, load(newsletter))
    return check


def test_the_key_that_signs_is_the_one_that_is_published(
    server: NameServer, names: Resolver, newsletter: Path, signing: Record
) -> None:
    assert "no DKIM record" in dkim(names, newsletter).message
    server.text(signing.name, signing.value)
    assert dkim(names, newsletter).level is Level.OK
    spaced = signing.value.replace("; ", " ;  ").replace("p=MII", "p= MII ")
    server.text(signing.name, spaced)
    assert dkim(names, newsletter).level is Level.OK
    server.text(signing.name, f"{signing.value}; t=s:y")
    assert dkim(names, newsletter).level is Level.WARNING


def test_another_key_or_a_revoked_one_is_told(
    server: NameServer, names: Resolver, newsletter: Path, signing: Record, tmp_path: Path
) -> None:
    write_key(tmp_path / "other.pem", Algorithm.RSA)
    other = read_key(tmp_path / "other.pem", Algorithm.RSA).record("nb1", DOMAIN).value
    for published in ([other], ["v=DKIM1; p="], [signing.value, other]):
        server.text(signing.name, *published)
        check = dkim(names, newsletter)
        assert check.level is Level.ERROR
        assert "not that of the key" in check.message
        assert signing.name in check.next_step
