"""What is counted of an issue, on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from newsletter_bot.errors import DataError
from newsletter_bot.reports.desk import Reports
from newsletter_bot.storage import tables
from tests.reports.ledger import BEGUN, DAY, Ledger

HOUR = 3600


def test_every_number_of_a_report_is_what_the_ledger_says(ledger: Ledger, reports: Reports) -> None:
    people = ledger.people(
        [f"a{one}@gmail.com" for one in range(30)]
        + [f"b{one}@six.example" for one in range(6)]
        + ["me@alone.example", "gone"]
    )
    issue = ledger.issue("2026-W38", finished_at=BEGUN + HOUR)
    other = ledger.issue("2026-W39", BEGUN + 7 * DAY)
    got = ledger.deliver(issue, people[:34], changed_at=lambda place: BEGUN + 10 + place)
    ledger.deliver(issue, people[34:35], state="refused", reason="550 5.1.1 <b4@six.example> no")
    ledger.deliver(issue, people[35:36], state="deferred", reason="451 4.7.1 Greylisted")
    ledger.deliver(issue, people[36:37], state="skipped", reason="suppressed: asked by Ms Example")
    ledger.deliver(issue, people[37:], state="planned", reason="")
    ledger.deliver(other, people[:3])
    for source in ("mail", "resend"):  # two told us of the same ones
        ledger.events("bounced", issue, got[:2], source=source, **{"class": "hard"})
    ledger.events("bounced", issue, got[5:6], source="relay")  # refused first, accepted later
    ledger.events("deferred", issue, got[6:8])
    ledger.events("complained", issue, got[2:3])
    ledger.events("complained", issue, got[2:5], consequence="none: not-spam is no complaint")
    ledger.changes(people[2:3], "unsubscribed", "complaint", BEGUN + DAY)
    ledger.changes(people[3:5], "unsubscribed", "one-click", BEGUN + 8 * DAY + HOUR)
    ledger.changes(people[36:37], "unsubscribed", "page", BEGUN + DAY)  # never got it

    found: Any = reports.report("2026-W38").to_json()

    outcomes = {name: found["outcomes"][name] for name in ("planned", "accepted", "refused")}
    assert outcomes == {"planned": 38, "accepted": 34, "refused": 1}
    assert found["outcomes"]["skipped"] + found["outcomes"]["deferred"] == 2
    assert (found["outcomes"]["remaining"], found["outcomes"]["balanced"]) == (2, False)
    assert found["bounced"] == {"count": 2, "of": 34, "percent": pytest.approx(5.8824)}
    assert (found["delivered"]["count"], found["delivered"]["of"]) == (32, 37)
    complaints = {"count": 1, "of": 32, "percent": 3.125, "level": "bad"}
    assert found["complaints"] == complaints
    assert found["unsubscribed"]["by"] == {"complaint": 1}
    delivery = found["delivery"]
    assert (delivery["p50_seconds"], delivery["p90_seconds"]) == (26, 40)
    assert delivery["last_seconds"] == 43
    assert sum(one["accepted"] for one in delivery["spans"]) + delivery["later"] == 34
    assert found["skipped"] == {"suppressed": 1}
    rows = [tuple(one.values()) for one in found["domains"]]
    assert rows == [
        ("gmail.com", 30, 28, 2, 0, 0, 0),
        ("six.example", 6, 4, 0, 1, 1, 0),
        (None, 2, 0, 0, 0, 1, 1),
    ]


def test_clicks_of_people_machines_and_unknown_are_never_one_number(
    ledger: Ledger, reports: Reports
) -> None:
    people = ledger.people([f"a{one}@gmail.com" for one in range(9)])
    issue = ledger.issue("2026-W38")
    got = ledger.deliver(issue, people)
    for number, item in enumerate(("one", "one", "", "two"), 1):
        ledger.row(
            tables.links,
            issue_id=issue,
            number=number,
            url=f"https://example.org/{number}",
            item=item,
            title=f"Title of {item}" if item else "",
        )
    ledger.events("clicked", issue, [*got[:3], got[0]], link=1, actor="human")
    ledger.events("clicked", issue, got[:2], link=2, actor="human")
    ledger.events("clicked", issue, got[:5], link=2, actor="machine")
    ledger.events("clicked", issue, got[8:], link=3)  # not judged yet
    ledger.events("clicked", issue, [None], link=9, actor="human")  # told of nobody
    ledger.events("opened", issue, got, actor="machine")

    found: Any = reports.report("2026-W38").to_json()

    assert found["clicks"] == {"human": 7, "machine": 5, "unknown": 1, "readers": 3}
    rows = [tuple(one.values()) for one in found["items"]]
    assert rows == [
        ("one", "Title of one", 6, 5, 0, 3),
        (None, "links that the issue does not list", 1, 0, 0, 0),
        (None, "https://example.org/3", 0, 0, 1, 0),
        ("two", "Title of two", 0, 0, 0, 0),
    ]
    assert found["opens"]["machine"] == 9
    assert "no readers" in found["opens"]["note"]
    assert found["clickers"] == {"count": 3, "of": 9, "percent": None}  # too few to speak of


def test_readers_who_clicked_are_not_known_where_clicks_have_no_reader(
    ledger: Ledger, reports: Reports
) -> None:
    people = ledger.people([f"a{one}@gmail.com" for one in range(30)])
    for week, clicks in enumerate((0, 2, 1)):
        issue = ledger.issue(f"2026-W{38 + week}", BEGUN + week * 7 * DAY)
        got = ledger.deliver(issue, people)
        by = got[:1] if clicks == 1 else [None] * clicks
        ledger.events("clicked", issue, by, actor="human")

    found = [row.figures.clickers for row in reports.compare().rows]

    assert [one and one.count for one in found] == [None, None, 1]
    assert reports.report("2026-W39").figures.clicks.human == 2


def test_words_are_shown_when_several_heard_them_and_their_class_in_any_case(
    ledger: Ledger, reports: Reports
) -> None:
    people = ledger.people([f"a{one}@gmail.com" for one in range(20)])
    issue = ledger.issue("2026-W38")
    for place, one in enumerate(people[:6]):
        reason = f"550-5.1.1 <a{place}@gmail.com> User unknown, id {place}x9"
        ledger.deliver(issue, [one], state="refused", reason=reason)
    ledger.deliver(issue, people[6:7], state="refused", reason="550 no such user: jane.doe")
    got = ledger.deliver(issue, people[7:])
    ledger.events("bounced", issue, got[:5], reason="mailbox is full", **{"class": "soft"})

    found = reports.report("2026-W38").failures

    told = [(one.when, one.fault, one.words, one.readers) for one in found]
    assert told == [
        ("refused", "hard", "550 5.1.1 User unknown, id", 6),
        ("bounced", "soft", "mailbox is full", 5),
        ("refused", "hard", "", 1),
    ]


def test_a_test_of_subjects_is_shown_as_it_was_decided_and_until_then_as_it_is(
    ledger: Ledger, reports: Reports
) -> None:
    people = ledger.people([f"a{one}@gmail.com" for one in range(60)])
    test = {"subjects": ["One", "<b>Two</b>"], "decided_at": None, "wait_until": BEGUN, "why": ""}
    issue = ledger.issue("2026-W38", subject_test=test)
    one = ledger.deliver(issue, people[:30], variant=0)
    ledger.deliver(issue, people[30:], variant=1)
    ledger.events("clicked", issue, [*one[:9], *one[:3]], actor="human")
    ledger.events("clicked", issue, one[9:20], actor="machine")
    decided = {
        **test,
        "decided_at": BEGUN,
        "winner": 1,
        "why": "“Two” won.",
        "variants": [{"sent": 8, "clicked": 1}, {"sent": 8, "clicked": 7}],
    }
    ledger.issue("2026-W39", BEGUN + DAY, subject_test=decided)
    ledger.issue("2026-W40", BEGUN + DAY, subject_test={"something": "else"})

    now, then = reports.report("2026-W38").test, reports.report("2026-W39").test

    assert now is not None
    assert then is not None
    assert [(one.sent, one.clicked, one.won) for one in now.variants] == [
        (30, 9, False),
        (30, 0, False),
    ]
    assert now.variants[0].low < 0.3 < now.variants[0].high
    assert [(one.sent, one.clicked, one.won) for one in then.variants] == [
        (8, 1, False),
        (8, 7, True),
    ]
    assert (now.decided, then.why) == (False, "“Two” won.")
    assert reports.report("2026-W40").test is None


def test_growth_is_counted_by_list_from_an_issue_to_the_next(
    ledger: Ledger, reports: Reports
) -> None:
    people = ledger.people([f"a{one}@gmail.com" for one in range(12)])
    ledger.issue("2026-W38")
    ledger.issue("other", BEGUN + DAY, lists=["monthly"])
    ledger.issue("2026-W39", BEGUN + 7 * DAY, lists=["weekly", "monthly"])
    ledger.changes(people[:4], "active", "confirm", BEGUN)
    ledger.changes(people[4:6], "active", "import", BEGUN + DAY)
    ledger.changes(people[6:9], "pending", "form", BEGUN + DAY)
    ledger.changes(people[6:8], "unsubscribed", "page", BEGUN + 2 * DAY)  # never confirmed
    ledger.changes(people[:1], "unsubscribed", "one-click", BEGUN + 2 * DAY)
    ledger.changes(people[:1], "active", "form", BEGUN + 8 * DAY, "monthly")
    ledger.changes(people[9:10], "unsubscribed", "mailto", BEGUN + 8 * DAY)  # of an older backup

    growth = [one.to_json() for one in reports.report("2026-W39").growth]

    first = {"list": "weekly", "joined": 4, "imported": 2, "left": 1, "net": 5}
    assert growth[0]["lists"] == [{**first, "left_by": {"one-click": 1}}]
    weekly, monthly = growth[-1]["lists"]
    assert (weekly["left"], weekly["net"], monthly["joined"]) == (1, -1, 1)
    assert [one["issue"] for one in growth] == ["2026-W38", "other", "2026-W39"]


def test_issues_are_compared_in_the_order_of_their_plans(ledger: Ledger, reports: Reports) -> None:
    people = ledger.people([f"a{one}@gmail.com" for one in range(40)])
    for week in range(14):
        issue = ledger.issue(f"2026-W{10 + week}", BEGUN + week * 7 * DAY)
        got = ledger.deliver(issue, people, changed_at=BEGUN + week * 7 * DAY)
        ledger.events("clicked", issue, got[:week], actor="human")
        ledger.events("bounced", issue, got[39:])
    ledger.issue("welcome", kind="sequence")

    rows = reports.compare().rows
    assert [row.about.issue for row in rows] == [f"2026-W{one}" for one in range(12, 24)]
    assert [row.figures.clicks.readers for row in rows] == list(range(2, 14))
    assert {row.figures.bounced for row in rows} == {1}
    some = reports.compare(["2026-W20", "2026-W10", "2026-W20"]).rows
    assert [row.about.issue for row in some] == ["2026-W10", "2026-W20"]
    assert reports.report("welcome").about.kind == "sequence"


def test_what_was_never_planned_has_no_report(reports: Reports) -> None:
    with pytest.raises(DataError) as caught:
        reports.report("2026-W01")
    assert "has not been planned" in caught.value.message
    assert "newsletter-bot send 2026-W01" in caught.value.next_step
    assert reports.compare().rows == []
