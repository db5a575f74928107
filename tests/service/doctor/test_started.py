from __future__ import annotations

import threading
from collections.abc import Iterator

from newsletter_bot.errors import ConfigurationError
from newsletter_bot.service.doctor.model import Check, Level, Started, well


def test_what_never_answers_is_an_error_and_what_it_said_before_is_kept() -> None:
    release = threading.Event()

    def look() -> Iterator[Check]:
        yield well("relay", "it greets us")
        release.wait(60)

    started = Started("relay", look, 0.2)
    kept, late = started.wait()
    release.set()
    assert (kept.level, late.level) == (Level.OK, Level.ERROR)
    assert "no answer within 0.2 s" in late.message


def test_whatever_breaks_is_a_check_that_failed() -> None:
    def known() -> Iterator[Check]:
        yield well("a", "fine")
        raise ConfigurationError("It is wrong.", "Mend it.")

    def unforeseen() -> Iterator[Check]:
        raise RuntimeError("line one\nline two")

    fine, wrong = Started("a", known, 30).wait()
    assert (fine.level, wrong.message, wrong.next_step) == (Level.OK, "It is wrong.", "Mend it.")
    (broken,) = Started("b", unforeseen, 30).wait()
    assert broken.level is Level.ERROR
    assert "RuntimeError: line one line two" in broken.message
