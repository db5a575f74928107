from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter_bot.errors import DataError
from newsletter_bot.subscribers.address import parse_address, rate_key
from newsletter_bot.subscribers.given import (
    checked_consent,
    checked_fields,
    checked_language,
    checked_name,
    network_prefix,
)


@pytest.mark.parametrize(
    ("address", "prefix"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("203.0.113.77/32", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unknown", ""),
        ("203.0.113.77, 10.0.0.1", ""),
        ("<script>", ""),
    ],
)
def test_of_a_network_address_its_network_is_kept(address: str, prefix: str) -> None:
    assert network_prefix(address) == prefix


@given(st.ip_addresses())
def test_a_prefix_holds_the_address_and_is_its_own_prefix(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    prefix = network_prefix(str(address))
    assert network_prefix(prefix) == prefix
    network = ipaddress.ip_network(prefix)
    mapped = getattr(address, "ipv4_mapped", None)
    assert (mapped or address) in network
    assert network.prefixlen in {24, 64}


@given(st.text())
def test_any_text_is_a_network_or_none(text: str) -> None:
    assert network_prefix(text) == network_prefix(network_prefix(text))


@given(st.text(max_size=300))
def test_a_name_that_is_taken_is_one_short_line(text: str) -> None:
    try:
        name = checked_name(text)
    except DataError:
        return
    assert len(name) <= 200
    assert name.encode().decode() == name
    assert not set(name) & set("\r\n\x00\x0b\x0c\x85\u2028\u2029")
    assert checked_name(name) == name


@pytest.mark.parametrize("tag", ["", "en", "ja", "zh-Hant", "pt-BR", "sr-Latn-RS", "de-1996"])
def test_a_language_is_a_tag(tag: str) -> None:
    assert checked_language(tag) == tag


@pytest.mark.parametrize("tag", ["e", "en_US", "en-", "english", "en\n", "日本語", "en-x" * 20])
def test_what_is_no_language_tag_is_refused(tag: str) -> None:
    with pytest.raises(DataError):
        checked_language(tag)


def test_fields_and_evidence_are_bounded_lines() -> None:
    assert checked_fields({"plan": "a"}, {"plan"}) == {"plan": "a"}
    for wrong in ({"other": "a"}, {"plan": "a\nb"}, {"plan": "a" * 1001}):
        with pytest.raises(DataError):
            checked_fields(wrong, {"plan"})
    assert checked_consent({"source": "shop"}) == {"source": "shop"}
    for evidence in (
        {"a\n": "b"},
        {"a": "b\x00"},
        {"a": "b" * 2001},
        {str(n): "" for n in range(21)},
    ):
        with pytest.raises(DataError):
            checked_consent(evidence)


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("A.D.A@Gmail.com", "ada@gmail.com"),
        ("ada+x+y@googlemail.com", "ada@gmail.com"),
        ("A.Da+news@example.com", "a.da@example.com"),
        ("+x@example.com", "+x@example.com"),
        ("a@bücher.example.org", "a@xn--bcher-kva.example.org"),
    ],
)
def test_limits_count_the_spellings_of_a_mailbox_as_one(address: str, key: str) -> None:
    assert rate_key(parse_address(address)) == key
