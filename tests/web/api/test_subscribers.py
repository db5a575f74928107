from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import idempotency, signups, subscribers, subscription_changes
from newsletter_bot.subscribers.consent import By
from newsletter_bot.web.api.keys import Scope
from tests.web.api.api_site import CONSENT, ApiSite, later, problem

ADA = "ada@example.com"


def addition(address: str = ADA, **more: Any) -> dict[str, Any]:
    return {"address": address, "lists": ["weekly"], "confirm": False, "consent": CONSENT, **more}


def request(address: str = ADA, **more: Any) -> dict[str, Any]:
    return {"address": address, "lists": ["weekly"], "confirm": True, **more}


def count(site: ApiSite, table: Any) -> int:
    with reading(site.bot.engine) as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


# ── adding at once ───────────────────────────────────────────────────────────────────────────


def test_somebody_who_agreed_elsewhere_is_subscribed_at_once(each_site: ApiSite) -> None:
    program = each_site.client(Scope.ALL)
    more: dict[str, Any] = {"name": "Ada", "language": "en", "fields": {"plan": "supporter"}}
    answer = program.post("/subscribers", json=addition(lists=["weekly", "monthly"], **more))
    assert answer.status_code == 201
    made = answer.json()
    assert made == {"subscriber_id": each_site.id_of(ADA), "outcome": "added"}
    assert answer.headers["location"] == f"/api/v1/subscribers/{made['subscriber_id']}"
    person = each_site.person(ADA)
    assert (person.subscriber.name, person.subscriber.fields) == ("Ada", {"plan": "supporter"})
    assert each_site.states(ADA) == {"monthly": "active", "weekly": "active"}
    consent = person.subscriptions[0].consent
    assert consent["source"] == "order form"
    assert consent["given_at"] == "2026-01-02T03:04:05Z"
    with reading(each_site.bot.engine) as connection:
        found = connection.execute(select(subscription_changes.c.by)).scalars().all()
    assert found == [By.API, By.API]


def test_somebody_who_is_there_is_updated(site: ApiSite, program: httpx.Client) -> None:
    program.post("/subscribers", json=addition())
    answers = [program.post("/subscribers", json=addition(name=name)) for name in ("Ada", "Ada")]
    assert [one.status_code for one in answers] == [200, 200]
    assert [one.json()["outcome"] for one in answers] == ["updated", "unchanged"]
    assert site.person(ADA).subscriber.name == "Ada"


def test_nobody_who_left_or_is_suppressed_is_subscribed(
    site: ApiSite, program: httpx.Client
) -> None:
    site.add(ADA)
    site.bot.people.unsubscribe(ADA)
    body = problem(program.post("/subscribers", json=addition()), 409, "left")
    assert "confirm: true" in body["detail"]
    site.bot.people.suppress("bo@example.com", "asked by letter")
    problem(program.post("/subscribers", json=addition("bo@example.com")), 409, "suppressed")
    assert site.states(ADA) == {"weekly": "unsubscribed"}


def test_one_list_that_is_refused_undoes_them_all(site: ApiSite, program: httpx.Client) -> None:
    site.add(ADA)
    site.bot.people.unsubscribe(ADA)
    answer = program.post("/subscribers", json=addition(lists=["monthly", "weekly"]))
    problem(answer, 409, "left")
    assert site.states(ADA) == {"weekly": "unsubscribed"}


def test_adding_at_once_needs_its_own_scope_and_evidence(site: ApiSite) -> None:
    writer = site.client(Scope.SUBSCRIBERS_WRITE)
    body = problem(writer.post("/subscribers", json=addition()), 403, "forbidden")
    assert "subscribers:activate" in body["detail"]
    both = site.client(Scope.SUBSCRIBERS_WRITE, Scope.SUBSCRIBERS_ACTIVATE)
    without = addition()
    del without["consent"]
    body = problem(both.post("/subscribers", json=without), 422, "invalid")
    assert [one["pointer"].endswith("/consent") for one in body["errors"]] == [True]
    assert count(site, subscribers) == 0
    assert both.post("/subscribers", json=addition()).status_code == 201


# ── asking to confirm ────────────────────────────────────────────────────────────────────────


def test_asking_answers_the_same_for_known_and_unknown(each_site: ApiSite) -> None:
    program = each_site.client(Scope.SUBSCRIBERS_WRITE)
    each_site.add("known@example.com")
    each_site.bot.people.suppress("shut@example.com", "complained")
    answers = [
        program.post("/subscribers", json=request(f"{one}@example.com"))
        for one in ("known", "new", "shut")
    ]
    assert {(one.status_code, one.content) for one in answers} == {(202, b"")}
    assert each_site.rung == ["people"] * 3
    assert each_site.bot.people.settle() == 3
    assert each_site.states("new@example.com") == {"weekly": "pending"}
    assert each_site.states("known@example.com") == {"weekly": "active"}


def test_a_request_carries_what_they_saw(site: ApiSite, program: httpx.Client) -> None:
    seen = {"page": "https://shop.example.com/", "wording": "Yes, please", "version": "3"}
    program.post("/subscribers", json=request(**seen, name="Ada"))
    with reading(site.bot.engine) as connection:
        consent = connection.execute(select(signups.c.consent)).scalar_one()
    assert seen.items() <= consent.items()


@pytest.mark.parametrize(
    "wrong",
    [
        {"lists": []},
        {"lists": ["no-such-list"]},
        {"lists": "weekly"},
        {"address": "nobody"},
        {"address": "a@b"},
        {"address": "x" * 300 + "@example.com"},
        {"address": "a@example.com\r\nBcc: b@example.com"},
        {"address": None},
        {"name": "A\r\nBcc: b@example.com"},
        {"name": "x" * 201},
        {"name": 5},
        {"language": "not a language"},
        {"confirm": "true"},
        {"confirm": 1},
        {"consent": CONSENT},
        {"state": "active"},
    ],
    ids=str,
)
def test_a_request_that_cannot_be_is_refused(
    site: ApiSite, program: httpx.Client, wrong: dict[str, Any]
) -> None:
    answer = program.post("/subscribers", json=request(**wrong))
    body = problem(answer, 422, "invalid")
    assert "Bcc" not in answer.text
    assert len(body.get("errors", [])) <= 20
    assert count(site, signups) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"consent": {"source": "x"}},
        {"consent": {**CONSENT, "given_at": "yesterday"}},
        {"consent": {**CONSENT, "given_at": 1}},
        {"consent": {**CONSENT, "given_at": "2026-01-02T03:04:05"}},
        {"consent": {**CONSENT, "given_at": "2026-13-02T03:04:05Z"}},
        {"consent": {**CONSENT, "source": ""}},
        {"consent": {**CONSENT, "source": "a\nb"}},
        {"consent": {**CONSENT, "more": "b"}},
        {"fields": {"unknown": "x"}},
        {"fields": {"plan": 5}},
        {"fields": {"plan": "a\x00b"}},
        {"fields": {"plan": "x" * 1001}},
        {"lists": ["weekly", "no-such-list"]},
    ],
    ids=str,
)
def test_an_addition_that_cannot_be_is_refused(
    site: ApiSite, program: httpx.Client, wrong: dict[str, Any]
) -> None:
    problem(program.post("/subscribers", json=addition(**wrong)), 422, "invalid")
    assert count(site, subscribers) == 0


# ── seeing ───────────────────────────────────────────────────────────────────────────────────


def test_somebody_is_shown_with_what_they_chose(each_site: ApiSite) -> None:
    program = each_site.client(Scope.SUBSCRIBERS_READ)
    number = each_site.add(ADA, "Ada", ["weekly", "monthly"])
    each_site.bot.people.set_tags(ADA, ["reviewer"], [])
    each_site.bot.people.unsubscribe(ADA, ["monthly"])
    shown = program.get(f"/subscribers/{number}").json()
    times = [shown.pop("added_at"), *(one.pop("changed_at") for one in shown["subscriptions"])]
    assert all(one.startswith("20") and one.endswith("Z") for one in times)
    assert shown == {
        "id": number,
        "address": ADA,
        "name": "Ada",
        "language": "",
        "fields": {},
        "tags": ["reviewer"],
        "frequency": "every",
        "paused_until": None,
        "subscriptions": [
            {"list": "monthly", "state": "unsubscribed"},
            {"list": "weekly", "state": "active"},
        ],
        "suppressed": None,
    }


def test_somebody_is_found_by_address_in_the_body(site: ApiSite, program: httpx.Client) -> None:
    site.add(ADA)
    site.bot.people.suppress(ADA, "asked by letter")
    found = program.post("/subscribers/search", json={"address": "ADA@Example.com"}).json()
    assert [one["address"] for one in found["data"]] == [ADA]
    assert found["data"][0]["suppressed"] == "asked by letter"
    nobody = program.post("/subscribers/search", json={"address": "bo@example.com"})
    assert nobody.json() == {"data": [], "next": None}
    problem(program.post("/subscribers/search", json={"address": "bo"}), 422, "invalid")


def test_people_are_filtered(each_site: ApiSite) -> None:
    program = each_site.client(Scope.SUBSCRIBERS_READ)
    folder = each_site.bot.settings.folder / "subscribers" / "segments"
    folder.mkdir(parents=True)
    (folder / "org.toml").write_text('all = [{domain = "example.org"}]\n', encoding="utf-8")
    (folder / "broken.toml").write_text("all = [{domin = 1}]\n", encoding="utf-8")
    each_site.add("a@example.com", lists=["weekly"])
    each_site.add("b@example.org", lists=["weekly", "monthly"])
    each_site.add("c@example.org", lists=["monthly"])
    each_site.bot.people.unsubscribe("b@example.org", ["weekly"])
    each_site.bot.people.set_tags("a@example.com", ["müde", "re"], [])
    each_site.bot.people.set_tags("c@example.org", ["reviewer"], [])

    def found(**filters: str) -> str:
        answer = program.get("/subscribers", params=filters)
        assert answer.status_code == 200, answer.text
        return "".join(one["address"][0] for one in answer.json()["data"])

    assert found() == "abc"
    assert found(list="weekly") == "ab"
    assert found(list="weekly", state="active") == "a"
    assert found(state="unsubscribed") == "b"
    assert found(list="monthly", state="unsubscribed") == ""
    assert found(tag="re") == "a"
    assert found(tag="MÜDE") == "a"
    assert found(tag="nobody") == ""
    assert found(segment="org") == "bc"
    assert found(segment="org", list="weekly") == "b"
    assert found(rules="domain=example.org&not.tag=reviewer") == "b"
    body = problem(program.get("/subscribers", params={"rules": "plam=x"}), 422, "invalid")
    assert body["errors"][0]["parameter"] == "rules"
    problem(program.get("/subscribers", params={"segment": "no-such"}), 422, "invalid")
    body = problem(program.get("/subscribers", params={"segment": "broken"}), 409, "broken")
    assert str(folder) not in str(body)


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=501", "limit=x", "lst=weekly", "state=gone", "tag=", "tag=a%20b", "tag=%00"],
)
def test_a_query_that_cannot_be_is_refused(program: httpx.Client, query: str) -> None:
    body = problem(program.get(f"/subscribers?{query}"), 422, "invalid")
    if "errors" in body:
        assert body["errors"][0]["parameter"] == query.partition("=")[0]


@pytest.mark.parametrize("wrong", ["0", "-1", "x", "1.5", "1e3", "9" * 20, "9" * 5000, "%00", "+1"])
def test_an_id_that_cannot_be_is_refused(program: httpx.Client, wrong: str) -> None:
    assert program.get(f"/subscribers/{wrong}").status_code in {404, 422}


def test_all_that_is_held_is_exported(each_site: ApiSite) -> None:
    program = each_site.client(Scope.SUBSCRIBERS_READ)
    number = each_site.add(ADA, "Ada")
    answer = program.get(f"/subscribers/{number}/export")
    assert answer.status_code == 200
    assert answer.json() == each_site.bot.people.dossier(ADA)
    problem(program.get("/subscribers/4711/export"), 404, "not-found")


# ── changing ─────────────────────────────────────────────────────────────────────────────────


def test_what_is_said_changes_and_the_rest_stays(each_site: ApiSite) -> None:
    program = each_site.client(Scope.SUBSCRIBERS_WRITE)
    number = each_site.add(ADA, "Ada", ["weekly", "monthly"])
    each_site.bot.people.unsubscribe(ADA, ["monthly"])
    path = f"/subscribers/{number}"
    assert program.patch(path, json={"frequency": "monthly"}).status_code == 204
    assert program.patch(path, json={"language": "ja", "name": "Ada L."}).status_code == 204
    chosen = each_site.bot.people.choices(number)
    assert chosen is not None
    assert (chosen.name, chosen.language, chosen.frequency.value) == ("Ada L.", "ja", "monthly")
    assert each_site.states(ADA) == {"monthly": "unsubscribed", "weekly": "active"}


def test_a_pause_begins_and_ends(site: ApiSite, program: httpx.Client) -> None:
    path = f"/subscribers/{site.add(ADA)}"
    text = datetime.fromtimestamp(later(86_400), UTC).isoformat()
    assert program.patch(path, json={"paused_until": text}).status_code == 204
    assert program.get(path).json()["paused_until"] == text.replace("+00:00", "Z")
    assert program.patch(path, json={"name": "Ada"}).status_code == 204
    assert program.get(path).json()["paused_until"] is not None
    assert program.patch(path, json={"paused_until": None}).status_code == 204
    assert program.get(path).json()["paused_until"] is None
    problem(program.patch(path, json={"paused_until": "9999-12-31T23:59:59Z"}), 422, "invalid")


def test_subscriptions_end(each_site: ApiSite) -> None:
    program = each_site.client(Scope.SUBSCRIBERS_WRITE)
    number = each_site.add(ADA, lists=["weekly", "monthly"])
    one = program.post(f"/subscribers/{number}/unsubscribe", json={"lists": ["weekly"]})
    assert (one.status_code, one.json()) == (200, {"subscriber_id": number, "unsubscribed": 1})
    assert each_site.states(ADA) == {"monthly": "active", "weekly": "unsubscribed"}
    rest = program.post(f"/subscribers/{number}/unsubscribe", json={})
    assert rest.json()["unsubscribed"] == 1
    again = program.post(f"/subscribers/{number}/unsubscribe", json={})
    assert again.json()["unsubscribed"] == 0


def test_one_subscription_begins_and_ends(each_site: ApiSite) -> None:
    program = each_site.client(Scope.ALL)
    path = f"/subscribers/{each_site.add(ADA)}/subscriptions"
    answer = program.put(f"{path}/monthly", json={"consent": CONSENT})
    assert answer.status_code == 204
    assert each_site.states(ADA) == {"monthly": "active", "weekly": "active"}
    assert program.delete(f"{path}/monthly").json()["unsubscribed"] == 1
    assert program.delete(f"{path}/monthly").json()["unsubscribed"] == 0
    problem(program.put(f"{path}/monthly", json={"consent": CONSENT}), 409, "left")
    problem(program.put(f"{path}/no-such", json={"consent": CONSENT}), 404, "not-found")
    problem(program.delete(f"{path}/no-such"), 404, "not-found")
    problem(program.put(f"{path}/weekly", json={}), 422, "invalid")


def test_tags_come_and_go(each_site: ApiSite) -> None:
    program = each_site.client(Scope.ALL)
    path = f"/subscribers/{each_site.add(ADA)}"
    for tag in ("Reviewer", "m%C3%BCde", "topic%2Fvision", "topic/speech"):
        assert program.put(f"{path}/tags/{tag}").status_code == 204
    tags = program.get(path).json()["tags"]
    assert tags == ["müde", "reviewer", "topic/speech", "topic/vision"]
    assert program.delete(f"{path}/tags/reviewer").status_code == 204
    assert program.delete(f"{path}/tags/reviewer").status_code == 204
    assert "reviewer" not in program.get(path).json()["tags"]
    for wrong in ("a%20b", "a,b", "%2Bplus", "x" * 65, "a%00b", "a%0Ab"):
        problem(program.put(f"{path}/tags/{wrong}"), 422, "invalid")


def test_a_new_address_is_asked_for_at_both_mailboxes(each_site: ApiSite) -> None:
    program = each_site.client(Scope.SUBSCRIBERS_WRITE)
    number = each_site.add(ADA)
    each_site.add("bo@example.com")
    answer = program.post(f"/subscribers/{number}/address", json={"address": "ada@example.org"})
    assert (answer.status_code, answer.content) == (202, b"")
    assert each_site.rung == ["letters"]
    assert each_site.bot.people.address_of(number) == ADA
    again = program.post(f"/subscribers/{number}/address", json={"address": "bo"})
    problem(again, 422, "invalid")


def test_somebody_is_forgotten(each_site: ApiSite) -> None:
    program = each_site.client(Scope.ALL)
    number = each_site.add(ADA, "Ada Lovelace")
    path = f"/subscribers/{number}"
    assert program.delete(path).status_code == 204
    problem(program.delete(path), 404, "not-found")
    problem(program.get(path), 404, "not-found")
    assert program.get("/subscribers").json()["data"] == []
    assert each_site.bot.subscribers.find(ADA) is None


def test_an_answer_that_is_kept_says_nothing_about_anybody(
    site: ApiSite, program: httpx.Client
) -> None:
    writes = [
        ("POST", "/subscribers", addition(name="Ada Lovelace")),
        ("PATCH", "/subscribers/1", {"name": "Augusta"}),
        ("PUT", "/subscribers/1/tags/secret", None),
        ("POST", "/subscribers/1/unsubscribe", {}),
        ("POST", "/suppressions", {"address": "bo@example.com", "reason": "wrote a letter"}),
        ("POST", "/subscribers", request("eve@example.com", name="Eve")),
    ]
    for number, (method, path, body) in enumerate(writes):
        headers = {"Idempotency-Key": f"key-{number}"}
        answer = program.request(method, path, json=body, headers=headers)
        assert answer.is_success, answer.text
    with reading(site.bot.engine) as connection:
        rows = connection.execute(select(idempotency)).mappings().all()
    kept = " ".join(str(dict(row)) for row in rows)
    assert len(rows) == len(writes)
    for word in ("example.com", "Ada", "Augusta", "secret", "letter", "Eve"):
        assert word not in kept


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/subscribers/4711", None),
        ("PATCH", "/subscribers/4711", {"name": "x"}),
        ("DELETE", "/subscribers/4711", None),
        ("POST", "/subscribers/4711/unsubscribe", {}),
        ("POST", "/subscribers/4711/address", {"address": ADA}),
        ("PUT", "/subscribers/4711/tags/x", None),
        ("DELETE", "/subscribers/4711/tags/x", None),
        ("PUT", "/subscribers/4711/subscriptions/weekly", {"consent": CONSENT}),
        ("DELETE", "/subscribers/4711/subscriptions/weekly", None),
    ],
)
def test_nobody_is_404(program: httpx.Client, method: str, path: str, body: Any) -> None:
    problem(program.request(method, path, json=body), 404, "not-found")


def test_an_addition_makes_somebody_active_who_was_only_asked(each_site: ApiSite) -> None:
    program = each_site.client(Scope.ALL)
    program.post("/subscribers", json=request())
    each_site.bot.people.settle()
    assert each_site.states(ADA) == {"weekly": "pending"}
    assert program.post("/subscribers", json=addition()).status_code == 200
    assert each_site.states(ADA) == {"weekly": "active"}
