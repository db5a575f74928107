from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter_bot.subscribers.segment_query import parse_query, to_query
from newsletter_bot.subscribers.segment_rules import Group, Kind, Received, Segment, Tagged
from newsletter_bot.subscribers.segment_table import Vocabulary, read_segment, to_table
from newsletter_bot.subscribers.segment_values import SegmentError
from tests.subscribers.rules import KNOWN, SEGMENTS


@given(SEGMENTS)
def test_a_segment_is_the_same_after_a_query_and_after_a_table(segment: Segment) -> None:
    query = to_query(segment)
    assert parse_query(query, KNOWN) == segment
    assert to_query(parse_query(query, KNOWN)) == query
    assert read_segment(to_table(segment), "", KNOWN) == segment


_BITS = st.sampled_from("tag any not field plan . ~2 = & , % received".split())


@given(st.text(max_size=60) | st.lists(_BITS).map("".join))
def test_any_text_is_a_segment_or_refused_with_a_sentence(text: str) -> None:
    with suppress(SegmentError):
        found = parse_query(text, KNOWN)
        assert parse_query(to_query(found), KNOWN) == found


def test_the_example_of_the_documents_reads_as_it_looks() -> None:
    query = (
        "plan=supporter&language=ja&tag=beta&not.tag=staff&received.at_least=3&received.within=90d"
    )
    found = parse_query(query, KNOWN)
    assert to_query(found) == query
    assert to_table(found) == {
        "all": [
            {"field": "plan", "is": "supporter"},
            {"language": "ja"},
            {"tag": "beta"},
            {"not": [{"tag": "staff"}]},
            {"received": {"at_least": 3, "within": "90d"}},
        ]
    }


def test_a_key_that_comes_again_begins_another_rule() -> None:
    assert parse_query("tag=a&tag=b", KNOWN).rule.rules == (Tagged(("a",)), Tagged(("b",)))
    assert parse_query("tag=a,b", KNOWN).rule.rules == (Tagged(("a", "b")),)
    assert parse_query("any.tag=a&language=ja&any.tag=b", KNOWN).rule.rules[0] == Group(
        Kind.ANY, (Tagged(("a",)), Tagged(("b",)))
    )


def test_numbers_tell_apart_what_would_be_taken_for_one() -> None:
    two = Segment(Group(Kind.ALL, (Received(at_least=1), Received(at_most=3))))
    assert to_query(two) == "received.at_least=1&received~2.at_most=3"
    assert parse_query("received.at_least=1&received.at_most=3", KNOWN).rule.rules == (
        Received(1, 3),
    )


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "without a rule"),
        ("tag", "No query"),
        ("tag=a&&tag=b", "No query"),
        ("plam=x", "Did you mean 'plan'"),
        ("plan.iss=x", "Did you mean 'is'"),
        ("not=x", "a rule is called like"),
        ("any.=x", "a rule is called like"),
        ("tag~0=x", "a rule is called like"),
        ("field=plan", "say which field"),
        ("received.at_least=three", "a number from 0"),
        ("received.at_least=-1", "a number from 0"),
        ("received.within=90d", "say how many"),
        ("received.at_least=1&received.within=90 days", "no duration"),
        ("added.since=2026-13-01", "no day"),
        ("added.since=20260101", "no day"),
        ("confirmed=never&confirmed.since=2026-01-01", "unknown word ''"),
        ("list=week", "Did you mean 'weekly'"),
        ("list=weekly&list.state=activ", "Did you mean 'active'"),
        ("plan.set=yes", "true or false"),
        ("plan=%00", "control character"),
        ("plan=%ff", "No query"),
        ("plan=a\\b", "write a backslash"),
        ("tag=", "an empty text"),
        ("&".join(["tag=a"] * 101), "More than 100 rules"),
        ("not." * 9 + "tag=a", "deeper than 8"),
        ("tag=" + "a" * 501, "more than 500"),
        ("tag=" + "a," * 101, "1 to 100 texts"),
        ("tag=" + "a" * 9000, "more than 8,000"),
        ("plan'; DROP TABLE subscribers--=x", "a rule is called like"),
    ],
)
def test_what_is_no_query_is_refused_with_a_sentence(query: str, said: str) -> None:
    with pytest.raises(SegmentError, match=said):
        parse_query(query, KNOWN)


@pytest.mark.parametrize(
    ("query", "what"), [("opened.at_least=3", "opens"), ("last_clicked=never", "clicks")]
)
def test_what_is_not_counted_of_each_reader_is_asked_in_vain(query: str, what: str) -> None:
    with pytest.raises(SegmentError, match=f"{what} are not counted for each reader"):
        parse_query(query, Vocabulary(KNOWN.fields, KNOWN.lists))


def test_as_many_rules_and_as_deep_as_allowed_are_read() -> None:
    many = parse_query("&".join(["tag=a"] * 100), KNOWN)
    assert parse_query(to_query(many), KNOWN) == many
    deep = parse_query("not." * 8 + "tag=a", KNOWN)
    assert parse_query(to_query(deep), KNOWN) == deep
