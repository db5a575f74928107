from __future__ import annotations

import pytest

from newsletter_bot.feedback.mails.decode import as_lines
from newsletter_bot.feedback.mails.model import Kind
from newsletter_bot.feedback.mails.read import read_mail
from tests.feedback.corpus import FOLDER, TOKEN, UNSUBSCRIBE, Sample, samples
from tests.feedback.figures import Figures

SAMPLES = samples()
EACH = pytest.mark.parametrize("sample", SAMPLES, ids=lambda one: one.wanted.name)


@EACH
def test_a_mail_is_what_it_is_about_whom_it_is_about(sample: Sample) -> None:
    reading = read_mail(sample.data)
    assert reading.kind == sample.wanted.kind, reading.reason
    told = sorted((one.address, one.fault) for one in reading.recipients)
    assert told == sorted(zip(sample.wanted.recipients, sample.wanted.faults, strict=True))
    assert all(one.reason and one.rule and one.found for one in reading.recipients)
    assert reading.reason


@EACH
def test_a_mail_names_its_delivery(sample: Sample) -> None:
    ties = read_mail(sample.data).ties
    assert bool(ties) == sample.tied
    assert set(ties.bounce_tokens) <= {TOKEN}
    assert set(ties.unsubscribe_tokens) <= {UNSUBSCRIBE}


@EACH
def test_line_ends_make_no_difference(sample: Sample) -> None:
    plain = as_lines(sample.data).encode("latin-1")
    first, *others = (
        read_mail(plain.replace(b"\n", end)) for end in (b"\n", b"\r\n", b"\r", b"\r\r\n")
    )
    assert others == [first] * 3


def test_the_targets_are_met() -> None:
    figures = Figures()
    for one in SAMPLES:
        figures.count(one.wanted, read_mail(one.data))
    assert figures.false_share <= 0.03
    assert figures.recall >= 0.85
    assert figures.found_share >= 0.90


def test_nothing_but_a_bounce_is_taken_for_one() -> None:
    taken = [
        one.wanted.name
        for one in SAMPLES
        if one.wanted.kind != Kind.BOUNCE and read_mail(one.data).kind is Kind.BOUNCE
    ]
    assert taken == []


def test_every_mail_of_the_folder_is_expected() -> None:
    assert {path.stem for path in FOLDER.glob("*.eml")} == {one.wanted.name for one in SAMPLES}
