from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from newsletter_bot.feedback.mailboxes import LONGEST_KEPT
from newsletter_bot.feedback.mailboxes.mbox import mails

FROM = b"From bounce@x.example  Thu Nov 26 04:02:17 2026\n"
LINES = st.lists(
    st.sampled_from([FROM, b"From me\n", b">From x\n", b"\n", b"\r", b"\r\n", b"Subject: x\n"])
    | st.binary(max_size=20),
    max_size=30,
)


@given(LINES)
def test_any_bytes_are_read_and_none_is_made_up(lines: list[bytes]) -> None:
    data = b"".join(lines)
    found = list(mails(io.BytesIO(data)))
    assert all(one.strip() for one in found)
    assert sum(map(len, found)) <= len(data)


@given(LINES)
def test_what_is_no_mbox_is_one_mail_as_it_is(lines: list[bytes]) -> None:
    data = b"Subject: first\n" + b"".join(lines)
    assert list(mails(io.BytesIO(data))) == [data]


def test_a_mail_from_a_pipe_that_begins_as_an_mbox_does_is_one() -> None:
    mail = b"Subject: hello\n\nOn Monday:\n\nFrom now on, at 10:30, we meet.\n"
    assert list(mails(io.BytesIO(FROM + mail))) == [mail]


def test_a_mail_without_measure_is_cut_and_the_next_one_is_whole() -> None:
    huge = b"Subject: x\n\n" + b"x" * 3_000_000
    found = list(mails(io.BytesIO(FROM + huge + b"\n\n" + FROM + b"Subject: y\n\n")))
    assert found == [huge[:LONGEST_KEPT], b"Subject: y\n\n"]
