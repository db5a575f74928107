from __future__ import annotations

from datetime import date

import pytest

from newsletter_bot.schedule.choice import Choice, choose, week_of
from newsletter_bot.schedule.model import Candidate

SUNDAY = date(2026, 11, 29)  # of week 48


def issue(identity: str, **facts: object) -> Candidate:
    values = {"ready": True, "rendering": "a", "approved": "a"} | facts
    return Candidate(identity, **values)  # type: ignore[arg-type]


def chosen(*candidates: Candidate, approval: bool = True) -> Choice:
    return choose(candidates, SUNDAY, approval=approval)


def test_the_issue_of_the_week_goes_first_then_last_weeks() -> None:
    both = [issue("2026-W47"), issue("2026-W48")]
    assert chosen(*both).issue == "2026-W48"
    assert chosen(both[0]).issue == "2026-W47"


@pytest.mark.parametrize("identity", ["2026-W49", "2026-W46", "2021-W08"])
def test_an_issue_of_another_week_waits_for_an_operator(identity: str) -> None:
    assert chosen(issue(identity)) == Choice(reason="no issue is ready")


def test_a_name_that_is_no_week_takes_the_first_occurrence_in_order_of_approval() -> None:
    found = chosen(issue("zoo", approved_at=1), issue("ape", approved_at=2))
    assert found.issue == "zoo"


def test_a_date_in_the_file_wins_over_its_name() -> None:
    assert chosen(issue("2026-W48", published=date(2026, 12, 6))).issue == ""
    assert chosen(issue("2026-W30", published=date(2026, 11, 28))).issue == "2026-W30"
    assert chosen(issue("special", published=date(2020, 1, 1))).issue == ""


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"ready": False}, "no issue is ready"),
        ({"approved": ""}, "2026-W48 is not approved"),
        ({"rendering": "b"}, "2026-W48 was edited after it was approved"),
        ({"trouble": "has errors: check it"}, "2026-W48 has errors: check it"),
    ],
)
def test_why_an_issue_cannot_go_out_is_said(facts: dict[str, object], reason: str) -> None:
    assert chosen(issue("2026-W48", **facts)) == Choice(reason=reason)


def test_without_approval_ready_is_enough() -> None:
    assert chosen(issue("2026-W48", approved=""), approval=False).issue == "2026-W48"


def test_what_is_no_week_is_none() -> None:
    assert week_of("2026-W48") == date(2026, 11, 23)
    assert week_of("2026-W54") is None
    assert week_of("week-48") is None
