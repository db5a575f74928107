from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable
from typing import Any

import altcha
import httpx
import pytest

from newsletter_bot.subscribers.tokens import Link
from tests.web.pages.conftest import Site

SITES = Callable[..., Site]
ONE_LIST = '[[lists]]\nid = "weekly"\nname = "Weekly"\n'


def solved(site: Site) -> str:
    """What the widget puts into the form."""
    challenge = altcha.Challenge.from_dict(site.web.get("/subscribe/challenge").json())
    solution = altcha.solve_challenge(challenge)
    assert solution is not None
    return altcha.Payload(challenge, solution).to_base64()


def limits(site: Site) -> dict[str, int]:
    return {row["name"]: row["count"] for row in site.rows("limits")}


# ── the form ─────────────────────────────────────────────────────────────────────────────────


def test_the_form_names_the_public_lists_and_what_one_agrees_to(site: Site) -> None:
    page = site.web.get("/subscribe")
    assert page.status_code == 200
    assert "Subscribe to Weekly ML News" in page.text
    assert "Every Sunday" in page.text
    assert "Jobs &amp; grants" in page.text
    assert "Staff only" not in page.text
    assert "By pressing “Subscribe” I ask" in page.text
    assert 'autocomplete="email"' in page.text
    assert page.headers["referrer-policy"] == "same-origin"
    assert page.headers["cache-control"] == "no-store"
    assert "x-robots-tag" not in page.headers
    assert "set-cookie" not in page.headers


def test_where_there_is_one_list_and_one_language_nothing_is_to_be_chosen(site_with: SITES) -> None:
    site = site_with(lists=ONE_LIST)
    page = site.web.get("/subscribe").text
    assert 'type="checkbox"' not in page
    assert "<select" not in page
    answer = site.web.post("/subscribe", data={"address": "bo@example.com", "form": site.shown()})
    assert answer.status_code == 303
    assert site.rows("signups")[0]["lists"] == ["weekly"]


def test_languages_are_offered_by_their_own_names(site_with: SITES) -> None:
    site = site_with(
        '[signup]\nlanguages = ["en", "ja", "nl"]\nprivacy_url = "https://x.example/p"'
    )
    page = site.web.get("/subscribe", headers={"Accept-Language": "ja"}).text
    assert '<option value="ja" lang="ja" selected>日本語</option>' in page
    assert '<option value="nl" lang="nl">nl</option>' in page
    assert '<a href="https://x.example/p">' in page
    site.sign_up(language="nl")
    site.sign_up(language="<b>", headers={"Accept-Language": "de"})
    assert [row["language"] for row in site.rows("signups")] == ["nl", "en"]


def test_a_request_is_kept_with_its_evidence_and_answered_with_a_page_of_its_own(
    any_site: Site,
) -> None:
    site = any_site
    answer = site.sign_up(name=" Bo ", list=["weekly", "jobs"], headers={"Accept-Language": "ja"})
    assert (answer.status_code, answer.headers["location"]) == (303, "subscribe/sent")
    assert "set-cookie" not in answer.headers
    assert site.rung == ["people"]
    (row,) = site.rows("signups")
    assert (row["address"], row["name"], row["language"]) == ("bo@example.com", "Bo", "ja")
    assert row["lists"] == ["weekly", "jobs"]
    assert row["consent"]["wording"].startswith("「購読する」を押すことで")
    assert row["consent"]["version"] == "1"
    assert row["consent"]["page"] == "https://news.example.com/subscribe"
    assert row["consent"]["prefix"] == "127.0.0.0/24"
    assert abs(int(row["consent"]["asked_at"]) - time.time()) < 60
    sent = site.web.get("/subscribe/sent")
    assert "Check your mail" in sent.text
    assert 'role="status"' in sent.text


def test_a_form_of_somebody_elses_is_taken_without_proof_and_without_our_wording(
    site: Site,
) -> None:
    fields = {"address": "bo@example.com", "list": "weekly", "proof": solved(site)}
    referer = "https://blog.example/about?who=bo%40example.com#form"
    headers = {"Referer": referer, "Origin": "https://blog.example", "Sec-Fetch-Site": "cross-site"}
    assert site.web.post("/subscribe", data=fields, headers=headers).status_code == 303
    (row,) = site.rows("signups")
    assert row["consent"]["page"] == "https://blog.example/about"
    assert "wording" not in row["consent"]
    assert limits(site)["signup-without-proof"] == 1
    assert site.rows("challenges") == []


# ── what is wrong is told, and what was typed is kept ────────────────────────────────────────


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"address": ""}, "This is not a complete e-mail address"),
        ({"address": "nonsense"}, "This is not a complete e-mail address"),
        ({"address": "a@b@example.com"}, "This is not a complete e-mail address"),
        ({"address": f"{'a' * 65}@example.com"}, "This is not a complete e-mail address"),
        ({"address": "bo@example.com\r\nBcc: eve@example.com"}, "not a complete e-mail address"),
        ({"address": "pаypal@example.com"}, "not a complete e-mail address"),
        ({"name": "Bo\r\nBcc: eve@example.com"}, "This name is too long, or has"),
        ({"name": "x" * 201}, "This name is too long, or has"),
        ({"name": "B\u2028o"}, "This name is too long, or has"),
        ({"list": ""}, "Choose at least one"),
        ({"list": "staff"}, "Choose at least one"),
        ({"list": ["weekly", "' OR 1=1 --"]}, "Choose at least one"),
    ],
)
def test_a_mistake_is_told_at_its_field(site: Site, fields: dict[str, str], said: str) -> None:
    answer = site.sign_up(**{"name": "Keep this", **fields})
    assert answer.status_code == 422
    assert said in answer.text
    assert 'role="alert"' in answer.text
    assert 'value="Keep this"' in answer.text or "name" in fields
    assert site.rows("signups") == []
    assert site.rung == []


def test_all_mistakes_are_told_at_once_and_the_first_has_the_focus(site: Site) -> None:
    answer = site.sign_up(address="x", name="y\nz", list="z")
    assert answer.text.count('class="wrong"') == 3
    assert len(re.findall(r"<input[^>]*autofocus", answer.text)) == 1
    assert re.search(
        r'id="address"[^>]*aria-describedby="wrong-address"[^>]*autofocus', answer.text
    )


def test_without_any_list_nobody_subscribes_where_there_are_several(site: Site) -> None:
    answer = site.web.post("/subscribe", data={"address": "bo@example.com", "form": site.shown()})
    assert "Choose at least one" in answer.text


# ── the signed time ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ago", [0, 25 * 3600, -3600])
def test_a_form_that_comes_back_too_soon_or_too_late_is_to_be_sent_again(
    site: Site, ago: int
) -> None:
    answer = site.sign_up(form=site.shown(ago), name="Bo & Co")
    assert answer.status_code == 422
    assert "Please press “Subscribe” once more" in answer.text
    assert 'value="bo@example.com"' in answer.text
    assert 'value="Bo &amp; Co"' in answer.text
    assert re.search(r'value="weekly" checked', answer.text)
    assert site.rows("signups") == []


def test_a_form_that_was_too_old_may_be_sent_again_at_once(site: Site) -> None:
    answer = site.sign_up(form=site.shown(30 * 3600))
    (token,) = re.findall(r'name="form" value="([0-9a-f]+)"', answer.text)
    assert site.sign_up(form=token).status_code == 303


def test_a_form_that_was_too_quick_keeps_its_time(site: Site) -> None:
    token = site.shown(0)
    assert f'name="form" value="{token}"' in site.sign_up(form=token).text


def test_forged_and_foreign_form_tokens_are_not_believed(site: Site) -> None:
    good = site.shown()
    now = int(time.time()) - 60
    others = [site.token(link, now) for link in Link if link is not Link.FORM]
    for token in [*others, good[:-2], good[:-1] + "x", "0" * len(good), "é", "0", "\u0661" * 46]:
        assert site.sign_up(form=token).status_code == 422, token
    assert site.rows("signups") == []


# ── robots ───────────────────────────────────────────────────────────────────────────────────


def test_what_falls_into_the_trap_is_answered_like_everybody_and_forgotten(site: Site) -> None:
    person = site.sign_up()
    robot = site.sign_up(address="robot@example.com", homepage="https://spam.example")
    assert alike(person) == alike(robot)
    assert [row["address"] for row in site.rows("signups")] == ["bo@example.com"]


def alike(answer: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    """All of an answer but its time."""
    status, headers, content = answer.status_code, dict(answer.headers), answer.content
    return status, {k: v for k, v in headers.items() if k != "date"}, content


def test_a_proof_counts_once_and_only_where_it_is_right(any_site: Site) -> None:
    site = any_site
    proof = solved(site)
    assert site.sign_up(proof=proof).status_code == 303
    assert "signup-without-proof" not in limits(site)
    (spent,) = site.rows("challenges")
    assert spent["expires_at"] > time.time()
    assert site.sign_up(proof=proof).status_code == 303
    assert limits(site)["signup-without-proof"] == 1
    assert site.rows("challenges") == [spent]


def test_wrong_proofs_are_none_and_no_error(site: Site) -> None:
    payload = json.loads(base64.b64decode(solved(site)))

    def written(change: Callable[[Any], object]) -> str:
        copy = json.loads(json.dumps(payload))
        change(copy)
        return base64.b64encode(json.dumps(copy).encode()).decode()

    wrong = [
        "",
        "%%%",
        "e30=",
        base64.b64encode(b"\xff\xfe").decode(),
        base64.b64encode(b"[" * 1400).decode(),
        base64.b64encode(b'{"challenge": [], "solution": 7}').decode(),
        "A" * 5000,
        written(lambda one: one["challenge"]["parameters"].update(cost=1)),
        written(lambda one: one["challenge"]["parameters"].update(expiresAt=9**15)),
        written(lambda one: one["challenge"].update(signature="0" * 64)),
        written(lambda one: one["solution"].update(counter=-1)),
        written(lambda one: one["solution"].update(counter=2**70)),
        written(lambda one: one["solution"].update(derivedKey={"a": 1})),
    ]
    for number, proof in enumerate(wrong, 1):
        answer = site.sign_up(address=f"a{number}@example.com", proof=proof)
        assert answer.status_code in {303, 429}, proof[:60]
    assert site.rows("challenges") == []


def test_a_challenge_of_yesterday_or_of_another_newsletter_is_not_taken(site: Site) -> None:
    from newsletter_bot.web.readers.proof_of_work import Proofs

    for proofs in (Proofs(site.bot.secret, life=-10), Proofs(b"another secret")):
        challenge = altcha.Challenge.from_dict(proofs.challenge())
        solution = altcha.solve_challenge(challenge)
        assert solution is not None
        site.sign_up(proof=altcha.Payload(challenge, solution).to_base64())
    assert limits(site)["signup-without-proof"] == 2
    assert site.rows("challenges") == []


def test_each_challenge_is_new_and_nobody_keeps_it(site: Site) -> None:
    first, second = (site.web.get("/subscribe/challenge") for _ in range(2))
    assert first.headers["cache-control"] == "no-store"
    assert first.json()["parameters"]["nonce"] != second.json()["parameters"]["nonce"]
    assert site.web.head("/subscribe/challenge").status_code == 200


def test_proof_of_work_can_be_switched_off(site_with: SITES) -> None:
    site = site_with('[signup]\nproof_of_work = "off"\nwithout_proof = "1/d"')
    page = site.web.get("/subscribe")
    assert "<script" not in page.text
    assert "script-src" not in page.headers["content-security-policy"]
    assert site.web.get("/subscribe/challenge").status_code == 404
    assert [site.sign_up(address=f"{n}@example.com").status_code for n in range(3)] == [303] * 3


# ── limits ───────────────────────────────────────────────────────────────────────────────────


def test_a_limit_says_when_to_come_back_and_keeps_what_was_typed(any_site: Site) -> None:
    answers = [any_site.sign_up(address=f"{n}@example.com", name="Bo") for n in range(12)]
    assert [one.status_code for one in answers] == [303] * 10 + [429] * 2
    wait = int(answers[-1].headers["retry-after"])
    assert 0 < wait <= 3600
    assert "There were too many requests" in answers[-1].text
    assert 'value="11@example.com"' in answers[-1].text
    assert len(any_site.rows("signups")) == 10


def test_a_proof_is_not_spent_on_a_request_that_was_not_taken(site_with: SITES) -> None:
    site = site_with('[signup]\nper_prefix = "1/h"')
    site.sign_up()
    assert site.sign_up(proof=solved(site)).status_code == 429
    assert site.rows("challenges") == []


@pytest.mark.parametrize("lists", [ONE_LIST, ONE_LIST + "public = false\n"])
def test_closed_sign_ups_say_so(site_with: SITES, lists: str) -> None:
    closed = "" if "public" in lists else "[signup]\nopen = false"
    site = site_with(closed, lists)
    for answer in (site.web.get("/subscribe"), site.sign_up()):
        assert answer.status_code == 503
        assert "Sign-ups are closed at the moment" in answer.text
    assert site.rows("signups") == []


# ── who is known, nobody learns ──────────────────────────────────────────────────────────────


def test_known_unknown_suppressed_and_erased_people_get_the_same_answer_after_the_same_work(
    any_site: Site,
) -> None:
    site = any_site
    site.bot.subscribers.suppress("gone@example.com", "bounced")
    site.asked("erased@example.com")
    site.bot.people.forget("erased@example.com")
    answers, work = [], []
    for who in ("ada", "nobody", "gone", "erased"):
        fields = {"address": f"{who}@example.com", "form": site.shown()}
        work.append(
            site.statements(lambda fields=fields: answers.append(alike(site.sign_up(**fields))))  # type: ignore[misc]
        )
    assert answers.count(answers[0]) == len(answers)
    assert work.count(work[0]) == len(work)
    assert not any("FROM subscribers" in one or "suppressions" in one for one in work[0])
    assert site.web.get("/subscribe/sent").content == site.web.get("/subscribe/sent").content


# ── in a frame ───────────────────────────────────────────────────────────────────────────────


def test_only_sites_that_were_named_may_show_the_form_in_a_frame(site_with: SITES) -> None:
    site = site_with('[signup]\nembed = ["https://example.com/blog", "https://b.example:8443"]')
    page = site.web.get("/subscribe/embed")
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors https://example.com https://b.example:8443" in policy
    assert page.headers.get("x-frame-options") != "DENY"
    assert 'target="_top"' in page.text
    assert 'action="../subscribe"' in page.text
    assert "<footer" not in page.text
    assert "frame-ancestors 'none'" in site.web.get("/subscribe").headers["content-security-policy"]
    site.sign_up(embedded="1")
    assert site.rows("signups")[0]["consent"]["page"].endswith("/subscribe/embed")


def test_without_such_sites_there_is_no_such_page(site: Site) -> None:
    assert site.web.get("/subscribe/embed").status_code == 404


@pytest.mark.parametrize(
    "name", ["https://*", "https://a;script-src *", "https://a,b", "https://'x'"]
)
def test_a_site_with_a_strange_name_opens_no_hole_in_the_policy(
    site_with: SITES, name: str
) -> None:
    site = site_with(f'[signup]\nembed = ["{name}"]')
    policy = site.web.get("/subscribe/embed").headers["content-security-policy"]
    assert policy.endswith("frame-ancestors 'none'")


# ── the widget's files ───────────────────────────────────────────────────────────────────────


def test_the_widget_is_our_own_file_and_may_be_kept_for_ever(site: Site) -> None:
    page = site.web.get("/subscribe").text
    (script,) = re.findall(r'<script type="module" src="([^"]+)"></script>', page)
    folder = script.rpartition("/")[0]
    assert re.fullmatch(r"subscribe/assets/[0-9a-f]{20}", folder)
    for name in ("sign-up.js", "altcha.min.js", "pbkdf2.js", "altcha.css", "LICENSE.txt"):
        answer = site.web.get(f"/{folder}/{name}")
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    for path in (
        f"{folder}/secret.key",
        f"{folder}/..%2fstyle.css",
        "subscribe/assets/0/altcha.css",
    ):
        assert site.web.get(f"/{path}").status_code == 404


def test_the_page_allows_scripts_of_its_own_files_alone(site: Site) -> None:
    policy = site.web.get("/subscribe").headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('clicks = "individual"', ["which links of these mails I follow"]),
        ('clicks = "individual"\nopens = "individual"', ["which links", "when I open these mails"]),
        ('clicks = "aggregate"\nopens = "aggregate"', []),
        ("", []),
    ],
)
def test_who_will_be_counted_by_name_is_told_and_agrees(
    site_with: Callable[..., Site], lines: str, said: list[str]
) -> None:
    site = site_with(f"[tracking]\n{lines}")
    page = site.web.get("/subscribe", headers={"Accept-Language": "en"}).text
    site.sign_up(headers={"Accept-Language": "en"})
    wording = site.rows("signups")[0]["consent"]["wording"]
    assert ("it is noted" in page) is ("it is noted" in wording) is bool(said)
    for one in said:
        assert one in page
        assert one in wording
