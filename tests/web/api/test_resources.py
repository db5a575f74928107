from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from newsletter_bot.delivery.model import DeliveryState
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import deliveries, issues, suppressions
from newsletter_bot.web.api.keys import Scope
from tests.web.api.api_site import ApiSite, problem

ADA = "ada@example.com"
Write = Callable[..., Path]


# ── lists and segments ───────────────────────────────────────────────────────────────────────


def test_lists_are_shown_with_how_many_are_on_them(each_site: ApiSite) -> None:
    program = each_site.client(Scope.LISTS_READ)
    for name in ("a", "b", "c"):
        each_site.add(f"{name}@example.com")
    each_site.bot.people.unsubscribe("c@example.com")
    listed = program.get("/lists").json()
    assert [one["id"] for one in listed["data"]] == ["weekly", "monthly"]
    assert listed["next"] is None
    weekly = program.get("/lists/weekly").json()
    assert weekly["subscriptions"] == {"pending": 0, "active": 2, "unsubscribed": 1}
    monthly = program.get("/lists/monthly").json()
    assert (monthly["description"], monthly["public"]) == ("The best of it", False)
    problem(program.get("/lists/no-such"), 404, "not-found")


def test_segments_are_shown_with_how_many_match(each_site: ApiSite) -> None:
    program = each_site.client(Scope.SEGMENTS_READ)
    folder = each_site.bot.settings.folder / "subscribers" / "segments"
    assert program.get("/segments").json() == {"data": [], "next": None}
    folder.mkdir(parents=True)
    text = 'title = "Reviewers"\nall = [{tag = "reviewer"}]\n'
    (folder / "reviewers.toml").write_text(text, encoding="utf-8")
    (folder / "broken.toml").write_text("all = []\n", encoding="utf-8")
    for name in ("a", "b", "c"):
        each_site.add(f"{name}@example.com")
    for name in ("a", "b"):
        each_site.bot.people.set_tags(f"{name}@example.com", ["reviewer"], [])
    each_site.bot.people.suppress("b@example.com", "complained")
    listed = program.get("/segments").json()
    assert listed["data"] == [{"name": "broken"}, {"name": "reviewers"}]
    assert program.get("/segments/reviewers").json() == {
        "name": "reviewers",
        "title": "Reviewers",
        "description": "",
        "rule": {"all": [{"tag": "reviewer"}]},
        "query": "tag=reviewer",
        "people": 3,
        "matching": 2,
        "mailable": 1,
        "rules": [{"rule": "tagged “reviewer”", "matching": 2}],
    }
    problem(program.get("/segments/no-such"), 404, "not-found")
    body = problem(program.get("/segments/broken"), 409, "broken")
    assert str(folder) not in str(body)


def test_it_is_told_why_somebody_matches(each_site: ApiSite) -> None:
    folder = each_site.bot.settings.folder / "subscribers" / "segments"
    folder.mkdir(parents=True)
    text = 'all = [{tag = "reviewer"}, {list = "weekly"}]\n'
    (folder / "reviewers.toml").write_text(text, encoding="utf-8")
    each_site.add(ADA)
    program = each_site.client(Scope.SEGMENTS_READ, Scope.SUBSCRIBERS_READ)
    told = program.post("/segments/reviewers/explain", json={"address": ADA}).json()
    assert told["met"] is False
    assert [one["met"] for one in told["parts"]] == [False, True]
    assert all(one["why"] and one["rule"] for one in told["parts"])
    for name, address, status, kind in (
        ("no-such", ADA, 404, "not-found"),
        ("reviewers", "bo@example.com", 404, "not-found"),
        ("reviewers", "bo", 422, "invalid"),
    ):
        answer = program.post(f"/segments/{name}/explain", json={"address": address})
        problem(answer, status, kind)
    narrow = each_site.client(Scope.SEGMENTS_READ)
    answer = narrow.post("/segments/reviewers/explain", json={"address": ADA})
    problem(answer, 403, "forbidden")


# ── suppressions ─────────────────────────────────────────────────────────────────────────────


def test_an_address_is_suppressed_and_let_go_again(each_site: ApiSite) -> None:
    program = each_site.client(Scope.SUPPRESSIONS_READ, Scope.SUPPRESSIONS_WRITE)
    body = {"address": "Ada@Example.com", "reason": "asked by letter"}
    assert program.post("/suppressions", json=body).status_code == 204
    assert each_site.bot.subscribers.suppression_of(ADA) == "asked by letter"
    found = program.post("/suppressions/lookup", json={"address": ADA}).json()
    assert (found["suppressed"], found["reason"]) == (True, "asked by letter")
    listed = program.get("/suppressions").json()["data"]
    assert [set(one) for one in listed] == [{"reason", "added_at"}]
    gone = program.request("DELETE", "/suppressions", json={"address": ADA})
    assert gone.status_code == 204
    again = program.request("DELETE", "/suppressions", json={"address": ADA})
    problem(again, 404, "not-found")
    found = program.post("/suppressions/lookup", json={"address": ADA}).json()
    assert found == {"suppressed": False, "reason": None, "added_at": None}


def test_no_address_stands_in_an_answer_about_suppressions(
    site: ApiSite, program: httpx.Client
) -> None:
    site.add(ADA)
    site.bot.people.suppress(ADA, "complained")
    assert "ada" not in program.get("/suppressions").text.lower()


@pytest.mark.parametrize(
    "body",
    [
        {"address": ADA},
        {"address": ADA, "reason": ""},
        {"address": ADA, "reason": "two\nlines"},
        {"address": ADA, "reason": "x" * 501},
        {"address": ADA, "reason": 5},
        {"address": "nobody", "reason": "x"},
        {"address": [ADA], "reason": "x"},
        [],
        "x",
        None,
    ],
    ids=str,
)
def test_a_suppression_that_cannot_be_is_refused(
    site: ApiSite, program: httpx.Client, body: Any
) -> None:
    problem(program.post("/suppressions", json=body), 422, "invalid")
    with reading(site.bot.engine) as connection:
        assert connection.execute(select(func.count()).select_from(suppressions)).scalar() == 0


# ── issues, deliveries, reports ──────────────────────────────────────────────────────────────


@pytest.fixture
def sent(each_site: ApiSite, write_issue: Write) -> ApiSite:
    """An issue sent to three people: accepted, refused with the address in its words, skipped."""
    for name in ("ada", "bo", "cy"):
        each_site.add(f"{name}@example.com")
    bot = each_site.bot
    bot.plan(bot.read(write_issue()))
    words = {
        "ada@example.com": (DeliveryState.ACCEPTED, "250 ok"),
        "bo@example.com": (DeliveryState.REFUSED, "550 5.1.1 <bo@example.com>: no such user"),
        "cy@example.com": (DeliveryState.DEFERRED, "451 4.7.1 come back later"),
    }
    with bot.engine.begin() as connection:
        for address, (state, reason) in words.items():
            row = update(deliveries).where(deliveries.c.subscriber_id == each_site.id_of(address))
            now = int(time.time())
            values = {"state": state.value, "reason": reason, "attempts": 1, "attempted_at": now}
            connection.execute(row.values(values))
    return each_site


def test_planned_issues_are_shown(sent: ApiSite) -> None:
    program = sent.client(Scope.ISSUES_READ)
    listed = program.get("/issues").json()
    assert [one["identity"] for one in listed["data"]] == ["2026-W01"]
    shown = program.get("/issues/2026-W01").json()
    assert shown == listed["data"][0]
    assert shown["planned_at"].endswith("Z")
    del shown["planned_at"]
    assert shown == {
        "identity": "2026-W01",
        "kind": "issue",
        "title": "Week 1, 2026",
        "state": "sending",
        "reason": "",
        "lists": ["weekly"],
        "url": sent.bot.page_url("2026-W01"),
        "finished_at": None,
    }
    problem(program.get("/issues/2026-W02"), 404, "not-found")


def test_addresses_of_deliveries_need_a_scope_of_their_own(sent: ApiSite) -> None:
    path = "/issues/2026-W01/deliveries"
    narrow = sent.client(Scope.DELIVERIES_READ).get(path)
    assert [one["address"] for one in narrow.json()["data"]] == [None, None, None]
    assert "bo@example.com" not in narrow.text
    wide = sent.client(Scope.DELIVERIES_READ, Scope.SUBSCRIBERS_READ).get(path).json()["data"]
    assert [one["address"] for one in wide] == [f"{one}@example.com" for one in ("ada", "bo", "cy")]
    assert "bo@example.com" in wide[1]["reason"]
    assert wide[0]["state"] == "accepted"


def test_deliveries_are_filtered_by_state(sent: ApiSite) -> None:
    program = sent.client(Scope.ALL)
    found = program.get("/issues/2026-W01/deliveries", params={"state": "refused"}).json()["data"]
    assert [one["address"] for one in found] == ["bo@example.com"]
    wrong = program.get("/issues/2026-W01/deliveries", params={"state": "lost"})
    problem(wrong, 422, "invalid")
    problem(program.get("/issues/2026-W02/deliveries"), 404, "not-found")


def test_somebody_forgotten_has_a_delivery_and_no_address(sent: ApiSite) -> None:
    program = sent.client(Scope.ALL)
    assert program.delete(f"/subscribers/{sent.id_of('bo@example.com')}").status_code == 204
    answer = program.get("/issues/2026-W01/deliveries")
    assert [one["address"] for one in answer.json()["data"]][1] is None
    assert "bo@example.com" not in answer.text


def test_a_report_has_the_numbers_of_status(sent: ApiSite) -> None:
    report = sent.client(Scope.REPORTS_READ).get("/reports/2026-W01")
    assert "bo@example.com" not in report.text
    said = report.json()
    numbers = sent.bot.mailroom.status("2026-W01").to_json()
    assert {name: said[name] for name in numbers} == numbers
    assert {(one["state"], one["count"]) for one in said["reasons"]} == {
        ("refused", 1),
        ("deferred", 1),
    }
    assert said["domains"] == [
        {"domain": "example.com", "total": 1, "by_age": [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]}
    ]
    problem(sent.client(Scope.READ).get("/reports/2026-W02"), 404, "not-found")


def test_issues_come_page_by_page_the_newest_first(each_site: ApiSite, write_issue: Write) -> None:
    program = each_site.client(Scope.ISSUES_READ)
    each_site.add(ADA)
    bot = each_site.bot
    for week in range(1, 6):
        bot.plan(bot.read(write_issue(name=f"2026-W0{week}")))
    first = program.get("/issues", params={"limit": 2}).json()
    bot.plan(bot.read(write_issue(name="2026-W06")))
    second = program.get("/issues", params={"limit": 2, "cursor": first["next"]}).json()
    third = program.get("/issues", params={"limit": 2, "cursor": second["next"]}).json()
    weeks = [one["identity"][-1] for page in (first, second, third) for one in page["data"]]
    assert weeks == ["5", "4", "3", "2", "1"]
    assert third["next"] is None
    with reading(bot.engine) as connection:
        assert connection.execute(select(func.count()).select_from(issues)).scalar() == 6
