from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event

from newsletter_bot.errors import DataError
from newsletter_bot.storage.tables import letters, limits, signups, subscribers, subscriptions
from newsletter_bot.subscribers.address import AddressError, parse_address
from newsletter_bot.subscribers.model import AddOutcome, NewSubscriber
from newsletter_bot.subscribers.people import (
    By,
    ClosedError,
    Evidence,
    LimitError,
    SignupRequest,
    SignupState,
)
from tests.subscribers.conftest import EVIDENCE, START, MakeTown, Town

DAY = 86_400


# ── from asking to active ────────────────────────────────────────────────────────────────────


def test_a_request_is_pending_until_its_mailbox_confirms(town: Town) -> None:
    asked = town.ask("Ada@Example.com", "weekly", "papers", name="Ada", language="ja")
    assert town.store.find("ada@example.com") is None
    assert town.people.settle() == 1
    assert town.people.settle() == 0
    assert town.states("ada@example.com") == {"papers": "pending", "weekly": "pending"}
    assert town.letters() == [("confirm", "Ada@example.com")]
    waiting = town.people.signup(asked)
    assert waiting is not None
    assert (waiting.state, waiting.lists) == (SignupState.WAITING, ("weekly", "papers"))
    done = town.people.confirm(asked, "2001:db8:1:2:3::4")
    assert done is not None
    assert (done.state, done.subscriber_id) == (SignupState.CONFIRMED, 1)
    assert town.states("ada@example.com") == {"papers": "active", "weekly": "active"}
    assert town.letters()[1:] == [("welcome", "Ada@example.com")]
    assert town.steps() == [
        ("papers", "pending", "form"),
        ("weekly", "pending", "form"),
        ("papers", "active", "confirm"),
        ("weekly", "active", "confirm"),
    ]
    choices = town.people.choices(1)
    assert choices is not None
    assert (choices.name, choices.language) == ("Ada", "ja")


def test_the_evidence_says_what_was_agreed_to_where_and_when(town: Town) -> None:
    asked = town.ask("ada@example.com")
    town.pass_time(5)
    town.people.settle()
    town.pass_time(5)
    town.people.confirm(asked, "198.51.100.9")
    person = town.store.find("ada@example.com")
    assert person is not None
    assert person.subscriptions[0].consent == {
        "source": "form",
        "at": str(START),
        "asked_at": str(START),
        "wording": "Send me it.",
        "version": "3",
        "page": "https://news.example.com/subscribe",
        "prefix": "203.0.113.0/24",
        "confirmed_at": str(START + 10),
        "confirm_prefix": "198.51.100.0/24",
    }


def test_confirming_again_answers_the_same_and_changes_nothing(town: Town) -> None:
    asked = town.ask("ada@example.com")
    town.people.settle()
    first = town.people.confirm(asked)
    town.people.unsubscribe("ada@example.com", by=By.ONE_CLICK)
    assert town.people.confirm(asked) == first
    assert town.states("ada@example.com") == {"weekly": "unsubscribed"}
    assert len(town.letters()) == 2


def test_a_link_that_expired_confirms_nobody(town: Town) -> None:
    asked = town.ask("ada@example.com")
    town.people.settle()
    town.pass_time(72 * 3600)
    done = town.people.confirm(asked)
    assert done is not None
    assert (done.state, done.subscriber_id) == (SignupState.EXPIRED, None)
    assert town.states("ada@example.com") == {"weekly": "pending"}


def test_what_was_in_no_mail_cannot_be_confirmed(town: Town) -> None:
    asked = town.ask("ada@example.com")
    assert town.people.signup(asked) is None
    assert town.people.confirm(asked) is None
    assert town.people.confirm(asked + 1) is None
    assert town.store.stats().subscribers == 0


def test_no_welcome_is_written_where_none_is_wanted(make_town: MakeTown) -> None:
    town = make_town(welcome=False)
    town.join("ada@example.com")
    assert [kind for kind, _ in town.letters()] == ["confirm"]


def test_somebody_who_is_subscribed_already_is_told_so(town: Town) -> None:
    town.join("ada@example.com")
    town.ask("ADA@example.com")
    town.people.settle()
    assert town.letters()[2:] == [("known", "ada@example.com")]
    assert town.signups()[-1] == ("dropped", "known")
    assert town.states("ada@example.com") == {"weekly": "active"}


def test_somebody_on_one_list_confirms_another(town: Town) -> None:
    town.join("ada@example.com", "weekly", name="Ada")
    asked = town.ask("ada@example.com", "weekly", "papers")
    town.people.settle()
    assert town.letters()[2:] == [("confirm", "ada@example.com")]
    town.people.confirm(asked)
    assert town.states("ada@example.com") == {"papers": "active", "weekly": "active"}
    choices = town.people.choices(1)
    assert choices is not None
    assert choices.name == "Ada"


def test_nobody_who_is_suppressed_is_written_to(town: Town) -> None:
    town.people.suppress("ada@example.com", "complained")
    town.ask("ada@example.com")
    town.people.settle()
    assert (town.letters(), town.signups()) == ([], [("dropped", "suppressed")])
    assert town.store.stats().subscribers == 0


def test_somebody_suppressed_after_the_letter_is_not_subscribed(town: Town) -> None:
    asked = town.ask("ada@example.com")
    town.people.settle()
    town.people.suppress("ada@example.com", "complained")
    done = town.people.confirm(asked)
    assert done is not None
    assert done.state is SignupState.EXPIRED
    assert town.states("ada@example.com") == {"weekly": "pending"}


def test_who_left_stays_so_until_they_themselves_confirm(town: Town) -> None:
    person = town.join("ada@example.com")
    town.people.unsubscribe(person, by=By.ONE_CLICK)
    asked = town.ask("ada@example.com")
    town.people.settle()
    assert town.states("ada@example.com") == {"weekly": "unsubscribed"}
    town.people.confirm(asked)
    assert town.states("ada@example.com") == {"weekly": "active"}
    assert town.steps()[1:] == [
        ("weekly", "active", "confirm"),
        ("weekly", "unsubscribed", "one-click"),
        ("weekly", "active", "confirm"),
    ]


def test_an_import_confirms_nobody_who_was_asked(town: Town) -> None:
    town.ask("ada@example.com")
    town.people.settle()
    person = NewSubscriber(parse_address("ada@example.com"), "Ada")
    consent = {"source": "import of people.csv"}
    assert town.store.add([person], "weekly", consent) == [AddOutcome.PENDING]
    assert town.states("ada@example.com") == {"weekly": "pending"}
    said = town.people.subscribe(person, "weekly", {"source": "told us"}, By.OPERATOR)
    assert said is AddOutcome.UPDATED
    assert town.steps()[-1] == ("weekly", "active", "operator")


def test_an_operator_may_ask_for_any_list_and_while_the_form_is_closed(
    make_town: MakeTown,
) -> None:
    town = make_town(open=False, overall="1/h")
    for name in ("a", "b"):
        town.people.invite(SignupRequest(f"{name}@example.com", ("staff",)))
    town.people.invite(SignupRequest("c@example.com", ("staff",)), By.API)
    town.people.settle()
    assert [town.steps(one)[0][2] for one in (1, 2, 3)] == ["operator", "operator", "api"]
    assert [kind for kind, _ in town.letters()] == ["confirm"] * 3
    assert town.people.confirm(1)
    person = town.store.find("a@example.com")
    assert person is not None
    assert person.subscriptions[0].consent["source"] == "invited by the operator"


# ── what is refused ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "request_",
    [
        SignupRequest("ada@example.com", ()),
        SignupRequest("ada@example.com", ("weekly", "none")),
        SignupRequest("ada@example.com", ("staff",)),
        SignupRequest("ada@example.com", ("weekly",), name="A\r\nBcc: eve@example.com"),
        SignupRequest("ada@example.com", ("weekly",), name="A\x00"),
        SignupRequest("ada@example.com", ("weekly",), name="\ud800"),
        SignupRequest("ada@example.com", ("weekly",), name="A" * 201),
        SignupRequest("ada@example.com", ("weekly",), language="en\nX: y"),
        SignupRequest("ada@example.com", ("weekly",), language="<b>"),
        SignupRequest("ada@example.com", ("weekly",), evidence=Evidence(page="x\ny")),
        SignupRequest("ada@example.com", ("weekly",), evidence=Evidence(wording="x\x1by")),
        SignupRequest("ada@example.com", ("weekly",), evidence=Evidence(version="v" * 300)),
    ],
)
def test_a_request_that_is_none_is_refused_and_nothing_is_kept(
    town: Town, request_: SignupRequest
) -> None:
    with pytest.raises(DataError):
        town.people.ask(request_)
    assert (town.rows(signups), town.rows(limits)) == ([], [])


@pytest.mark.parametrize(
    "address",
    [
        "nobody",
        "ada@example.com\r\nBcc: eve@example.com",
        '"ada lovelace"@example.com',
        '"ada"@example.com',
        "ada@p\u0430ypal.com",  # a Cyrillic а among Latin letters
        "ada@xn--pypal-4ve.com",  # the same, in A-labels
        "p\u0430ypal@example.com",
        "ada@\u03bfracle.com",  # a Greek ο
        "a" * 65 + "@example.com",
        "ada@" + "b" * 250 + ".com",
        "ada\ud800@example.com",
    ],
)
def test_an_address_that_is_none_or_looks_like_another_is_refused(town: Town, address: str) -> None:
    with pytest.raises(AddressError):
        town.ask(address)
    assert town.rows(signups) == []


@pytest.mark.parametrize(
    "address",
    [
        "a@bücher.example.org",
        "a@例え.jp",
        "アダ@example.com",
        "a@пример.рф",
        "a@강남abc.kr",
        "a.б@x.org",
    ],
)
def test_addresses_of_one_script_or_of_those_that_belong_together_are_taken(
    town: Town, address: str
) -> None:
    assert town.ask(address)


def test_twins_of_unicode_normalisation_are_one_person(town: Town) -> None:
    first = town.join("re\u0301ne\u0301e@example.com")
    town.pass_time(DAY)
    town.ask("r\u00e9n\u00e9e@EXAMPLE.com")
    town.people.settle()
    assert town.store.stats().subscribers == 1
    assert town.id_of("r\u00e9n\u00e9e@example.com") == first
    assert town.letters()[-1][0] == "known"


def test_a_form_that_is_closed_takes_nothing(make_town: MakeTown) -> None:
    town = make_town(open=False)
    with pytest.raises(ClosedError):
        town.ask("ada@example.com")
    assert town.rows(signups) == []


# ── the same for everybody ───────────────────────────────────────────────────────────────────


def test_asking_runs_the_same_statements_whoever_it_is(town: Town) -> None:
    town.join("known@example.com")
    town.people.suppress("never@example.com", "complained")
    seen: dict[str, list[str]] = {}
    current: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        current.append(statement)

    event.listen(town.engine, "before_cursor_execute", note)
    try:
        for address in ("known@example.com", "never@example.com", "new@example.com"):
            current.clear()
            town.ask(address)
            seen[address] = list(current)
    finally:
        event.remove(town.engine, "before_cursor_execute", note)
    assert len({tuple(one) for one in seen.values()}) == 1
    tables = (subscribers, subscriptions, letters)
    read = " ".join(seen["known@example.com"])
    assert [one.name for one in tables if f" {one.name}" in read or "suppressions" in read] == []


# ── limits ───────────────────────────────────────────────────────────────────────────────────


def test_a_mailbox_gets_one_letter_a_day_and_three_in_all(town: Town) -> None:
    for day in range(6):
        for hour in (0, 1):
            town.time.now = START + day * DAY + hour * 3600
            town.ask("ada@example.com")
            town.people.settle()
        assert len(town.letters()) == min(day + 1, 3)
    assert ("dropped", "limit") in town.signups()


def test_a_confirmation_begins_the_count_anew(town: Town) -> None:
    for _ in range(2):
        town.ask("ada@example.com")
        town.people.settle()
        town.pass_time(DAY)
    town.join("ada@example.com")
    for _ in range(4):
        town.ask("ada@example.com", "papers")
        town.people.settle()
        town.pass_time(DAY)
    assert [kind for kind, _ in town.letters()] == ["confirm"] * 3 + ["welcome"] + ["confirm"] * 3


def test_all_spellings_of_a_mailbox_share_its_letters(town: Town) -> None:
    spellings = ["ada.l@gmail.com", "ADAL@gmail.com", "a.dal+n@googlemail.com", "adal+x@gmail.com"]
    for address in spellings:
        town.ask(address)
    town.people.settle()
    assert len(town.letters()) == 1
    assert sorted(town.signups()) == [("dropped", "limit")] * 3 + [("mailed", "")]
    assert [row["address"] for row in town.rows(signups)] == spellings  # kept as written


def test_dots_matter_elsewhere_and_an_empty_tag_is_no_mailbox(town: Town) -> None:
    for address in ("a.b@example.com", "ab@example.com", "+x@example.com", "+y@example.com"):
        town.ask(address)
    town.people.settle()
    assert len(town.letters()) == 4


def test_one_network_asks_so_often_and_no_more(make_town: MakeTown) -> None:
    town = make_town(per_prefix="3/h")
    for number in range(3):
        town.ask(f"r{number}@example.com")
    with pytest.raises(LimitError) as caught:
        town.ask("r3@example.com")
    assert caught.value.retry_after == 3600
    other = Evidence(prefix="203.0.114.1")
    assert town.people.ask(SignupRequest("r4@example.com", ("weekly",), "", "", other, True))
    town.pass_time(3600)
    assert town.ask("r3@example.com")


@pytest.mark.parametrize(
    ("signup", "refused"),
    [
        ({"per_domain": "2/h"}, ["example.com"]),
        ({"overall": "2/h"}, ["example.com", "example.org"]),
    ],
)
def test_one_domain_and_all_together_ask_so_often_and_no_more(
    make_town: MakeTown, signup: dict[str, str], refused: list[str]
) -> None:
    town = make_town(**signup)
    for number in range(2):
        town.ask(f"r{number}@example.com")
    for domain in ("example.com", "example.org"):
        if domain in refused:
            with pytest.raises(LimitError):
                town.ask(f"new@{domain}")
        else:
            assert town.ask(f"new@{domain}")


def test_requests_without_a_proof_have_a_limit_of_their_own(make_town: MakeTown) -> None:
    town = make_town(without_proof="1/h")

    def ask(address: str, *, proved: bool) -> int:
        return town.people.ask(SignupRequest(address, ("weekly",), "", "", EVIDENCE, proved))

    ask("a@example.com", proved=False)
    with pytest.raises(LimitError):
        ask("b@example.com", proved=False)
    assert ask("b@example.com", proved=True)
    without = make_town(without_proof="1/h", proof_of_work="off")
    assert without.people.ask(SignupRequest("c@example.com", ("weekly",)))


def test_a_request_that_is_refused_uses_nothing_up(make_town: MakeTown) -> None:
    town = make_town(per_domain="1/h", overall="2/h")
    town.ask("a@example.com")
    for _ in range(5):
        with pytest.raises(LimitError):
            town.ask("b@example.com")
    assert town.ask("c@example.org")  # `overall` still had one


def test_a_flood_from_one_network_leaves_no_more_than_its_limit(make_town: MakeTown) -> None:
    town = make_town(per_prefix="10/h")
    refused = 0
    for number in range(3000):
        try:
            town.ask(f"victim{number}@d{number}.example.com")
        except LimitError:
            refused += 1
    town.people.settle()
    assert refused == 2990
    assert len(town.rows(signups)) == len(town.letters()) == 10
    assert len(town.rows(limits)) < 50
    town.pass_time(400 * DAY)
    town.people.purge()
    assert town.rows(limits) == []


# ── a spike ──────────────────────────────────────────────────────────────────────────────────


def spike(town: Town, count: int, confirmed: int = 0) -> None:
    for number in range(count):
        town.ask(f"r{number}@d{number}.example.com")
    town.people.settle()
    for number in range(1, confirmed + 1):
        assert town.people.confirm(number)
    town.pass_time(16 * 60)
    town.ask("last@example.org")
    town.people.settle()


FAST = {"per_prefix": "1000/h", "pause_at": 20, "pause_for": "6h"}


def test_sign_ups_pause_when_hardly_any_of_many_is_confirmed(make_town: MakeTown) -> None:
    town = make_town(**FAST)
    assert town.people.spike() is None
    spike(town, 30, confirmed=2)
    reason = town.people.spike()
    assert reason is not None
    assert "31 sign-ups" in reason
    with pytest.raises(ClosedError):
        town.ask("new@example.com")
    again = make_town(**FAST)  # another process
    again.time.now = town.time.now
    with pytest.raises(ClosedError):
        again.ask("new@example.com")
    town.pass_time(6 * 3600)
    assert town.people.spike() is None
    assert town.ask("new@example.com")


@pytest.mark.parametrize(("count", "confirmed"), [(30, 3), (18, 0)])
def test_a_good_day_pauses_nothing(make_town: MakeTown, count: int, confirmed: int) -> None:
    town = make_town(**FAST)
    spike(town, count, confirmed)
    assert town.people.spike() is None


def test_a_rush_is_given_time_to_find_the_mail(make_town: MakeTown) -> None:
    town = make_town(**FAST)
    for number in range(50):
        town.ask(f"r{number}@d{number}.example.com")
    town.people.settle()
    assert town.people.spike() is None
