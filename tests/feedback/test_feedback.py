"""What came in, on a real database: tied, acted on once, in any order, however often."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from email import message_from_bytes
from typing import Any

import pytest
from sqlalchemy import event, insert, update
from sqlalchemy.exc import IntegrityError

from newsletter_bot.delivery.composing.composer import Composer
from newsletter_bot.delivery.refusals_store import DELIVERY, LETTER, keep_refusals
from newsletter_bot.feedback.events.raw_store import replay
from newsletter_bot.storage.tables import deliveries, events, letters, raw_events
from newsletter_bot.subscribers.address import key_of
from newsletter_bot.subscribers.tokens import Link
from tests.delivery.test_composer import recipient, rendering
from tests.feedback.office import DAY, SECRET, Office, bounce_mail

FULL = {"reason": "552 5.2.2 mailbox full", "status": "5.2.2", "type": "blocked"}
BLOCKED = {"reason": "550 5.7.26 unauthenticated mail from us", "status": "5.7.26"}
MakeOffice = Callable[..., Office]


def test_a_hard_bounce_suppresses_and_webhooks_hear_of_it_once(office: Office) -> None:
    ada = office.joins("ada")
    (delivery,) = office.sends("2026-W01", ada)
    told = office.event(delivery)
    assert office.hears(told, told) == 1
    office.hears(told)
    office.hears(office.event(delivery))
    assert office.suppression("ada") == "hard bounce (5.1.1), 2026-W01"
    assert office.states("ada") == {"weekly": "active"}
    assert office.consequences() == [
        "suppress: hard bounce (5.1.1)",
        "none: suppressed already: hard bounce (5.1.1), 2026-W01",
    ]
    ((kind, data),) = office.hooks()
    assert kind == "subscriber.bounced"
    assert data == {
        "subscriber_id": ada,
        "address": "ada@reader.example",
        "list": "weekly",
        "issue": "2026-W01",
        "reason": "550 5.1.1 user unknown",
    }


@pytest.mark.parametrize("kind", ["delivered", "bounce"])
def test_what_comes_back_settles_a_delivery_of_which_nobody_knew(office: Office, kind: str) -> None:
    ada, bo = office.joins("ada"), office.joins("bo")
    first, second = office.sends("2026-W01", ada, bo, state="unknown")
    office.hears(office.event(first, kind), {**office.event(second, kind), "ref": "00" * 19})
    rows = {row["id"]: row for row in office.rows(deliveries)}
    assert rows[first]["state"] == "accepted"
    assert rows[first]["reason"].startswith("what came back by sendgrid")
    assert rows[second]["state"] == "unknown"
    assert (office.suppression("ada") is not None) == (kind == "bounce")


def test_a_complaint_ends_every_subscription_and_suppresses(office: Office) -> None:
    ada = office.joins("ada", "weekly", "papers")
    (delivery,) = office.sends("2026-W01", ada)
    office.hears(office.event(delivery, "spamreport"))
    assert office.suppression("ada") == "a complaint, 2026-W01"
    assert set(office.states("ada").values()) == {"unsubscribed"}
    assert office.steps()[-2:] == [
        ("papers", "unsubscribed", "complaint"),
        ("weekly", "unsubscribed", "complaint"),
    ]
    assert {data["by"] for _, data in office.hooks()} == {"complaint"}


def test_leaving_at_the_providers_ends_the_list_of_the_message(office: Office) -> None:
    (delivery,) = office.sends("2026-W01", office.joins("ada", "weekly", "papers"))
    office.hears(office.event(delivery, "unsubscribe"))
    assert office.states("ada") == {"weekly": "unsubscribed", "papers": "active"}
    assert office.suppression("ada") is None
    assert office.steps()[-1] == ("weekly", "unsubscribed", "provider")


def test_a_block_is_told_to_operators_and_held_against_nobody(office: Office) -> None:
    people = [office.joins(f"reader{n}") for n in range(20)]
    sent = office.sends("2026-W01", *people)
    for one in sent:
        reason = f"{BLOCKED['reason']} to reader{one}@reader.example"
        office.hears(office.event(one, type="blocked", reason=reason, status="5.7.26"))
    assert len({key for key, _, _ in office.told}) == 1
    assert office.told[0][1] == "Mail is blocked: 2026-W01"
    assert all(office.suppression(f"reader{n}") is None for n in range(20))
    assert all(row["consequence"].startswith("alert") for row in office.rows(events))
    assert office.hooks() == []


@pytest.mark.parametrize("order", ["as they came", "backwards", "mixed", "at once"])
def test_five_issues_that_bounce_softly_suppress_in_whatever_order_they_are_told(
    office: Office, order: str
) -> None:
    ada, bob = office.joins("ada"), office.joins("bob")
    told = []
    for week in range(1, 6):
        first, second = office.sends(f"2026-W0{week}", ada, bob)
        told.append(office.event(first, **FULL))
        if week != 3:  # one arrived
            told.append(office.event(second, **FULL))
        office.moves(7 * DAY)
    if order == "backwards":
        told.reverse()
    if order == "mixed":
        random.Random(7).shuffle(told)
    for batch in [told] if order == "at once" else [[one] for one in told]:
        office.hears(*batch)
    assert office.suppression("ada") == "soft bounces of 5 issues in a row, 2026-W05" or (
        order != "as they came" and office.suppression("ada") is not None
    )
    assert office.suppression("bob") is None


def test_a_hard_bounce_may_have_to_come_twice(open_office: MakeOffice) -> None:
    office = open_office(hard="twice")
    ada, bob = office.joins("ada"), office.joins("bob")
    first = office.sends("2026-W01", ada, bob)
    for one in first:
        office.hears(office.event(one), office.event(one))
    assert office.suppression("ada") is None
    office.moves(7 * DAY)
    (second,) = office.sends("2026-W02", ada)
    office.hears(office.event(second))
    assert office.suppression("ada") == "hard bounce (5.1.1), 2026-W02"
    office.moves(7 * DAY)
    (third,) = office.sends("2026-W03", bob)
    office.hears(office.event(third))
    assert office.suppression("bob") is None


# ── who proves nothing ───────────────────────────────────────────────────────────────────────


def test_a_forged_token_suppresses_nobody(office: Office) -> None:
    ada = office.joins("ada")
    (delivery,) = office.sends("2026-W01", ada)
    token = office.signer.bounce_token(delivery)
    forged = token[:-1] + ("0" if token[-1] != "0" else "1")
    office.hears(office.event(delivery, ref=forged), office.event(delivery, ref="no token"))
    office.gets(bounce_mail(forged))
    assert office.suppression("ada") is None
    assert set(office.consequences()) == {"none: its token is not ours"}


def test_a_bounce_for_somebody_who_was_never_mailed_suppresses_nobody(office: Office) -> None:
    ada = office.joins("ada")
    (delivery,) = office.sends("2026-W01", ada, state="planned", attempted_at=None, attempts=0)
    office.hears(office.event(delivery), office.event(delivery + 1000))
    office.gets(bounce_mail("").replace("bounce+@", "editor@"))
    assert office.suppression("ada") is None
    assert set(office.consequences()) == {
        "none: nothing was sent",
        "none: there is no such message",
        "none: nothing ties it to a message of ours",
    }


def test_an_address_alone_names_its_reader_and_proves_nothing(office: Office) -> None:
    ada = office.joins("ada")
    office.sends("2026-W01", ada)
    untied = bounce_mail("").replace("bounce+@", "editor@")
    office.gets(untied)
    (row,) = office.rows(events)
    assert (row["subscriber_id"], row["delivery_id"]) == (ada, None)
    assert row["consequence"] == "none: an address alone proves nothing"
    office.moves(15 * DAY)
    office.gets(untied + "\n")
    assert office.rows(events)[-1]["subscriber_id"] is None
    assert office.suppression("ada") is None


@pytest.mark.parametrize("link", ["", "List-Unsubscribe: <https://news.example.com/u/{}>\n"])
def test_a_message_id_that_only_we_can_have_made_proves_whose_it_is(
    office: Office, link: str
) -> None:
    ada = office.joins("ada")
    link = link.format(office.signer.unsubscribe_token(ada, "weekly"))
    (delivery,) = office.sends("2026-W01", ada)
    one = replace(recipient(delivery), subscriber_id=ada, address="ada@reader.example")
    message = Composer(rendering(), office.settings, SECRET).compose(one, int(office.now))
    name = message_from_bytes(message.content)["Message-ID"]
    returned = f"--b\nContent-Type: text/rfc822-headers\n\n{link}Message-ID: {name}\n\n--b--\n"
    mail = bounce_mail("").replace("bounce+@", "editor@").replace("--b--\n", returned)
    office.gets(mail.replace(name, name.replace(".", ".0", 1)))
    assert office.suppression("ada") is None
    office.gets(mail)
    assert office.suppression("ada") == "hard bounce (5.1.1), 2026-W01"


def test_a_mail_about_an_old_message_suppresses_nobody(office: Office) -> None:
    (delivery,) = office.sends("2026-W01", office.joins("ada"))
    office.moves(20 * DAY)
    office.gets(bounce_mail(office.signer.bounce_token(delivery)))
    assert office.suppression("ada") is None
    assert office.consequences() == ["none: the message is too old for a bounce"]


def test_whoever_moved_meanwhile_keeps_the_new_address(office: Office) -> None:
    ada = office.joins("ada")
    (delivery,) = office.sends("2026-W01", ada)
    office.moves(60)
    change = office.people.ask_address_change(ada, "ada@elsewhere.example")
    office.people.agree(change, Link.AGREE_OLD)
    office.people.agree(change, Link.AGREE_NEW)
    office.hears(office.event(delivery))
    assert office.store.suppression_of("ada@elsewhere.example") is None
    assert office.consequences() == ["none: the reader has another address now"]
    assert [kind for kind, _ in office.hooks() if kind == "subscriber.bounced"] == []


# ── mails ────────────────────────────────────────────────────────────────────────────────────


def test_a_bounce_by_mail_is_tied_by_its_return_path(office: Office) -> None:
    (delivery,) = office.sends("2026-W01", office.joins("ada"))
    mail = bounce_mail(office.signer.bounce_token(delivery))
    assert (office.gets(mail), office.gets(mail)) == (1, 0)
    assert office.suppression("ada") == "hard bounce (5.1.1), 2026-W01"
    (row,) = office.rows(events)
    assert (row["source"], row["class"], row["status"]) == ("mail", "hard", "5.1.1")
    assert office.raws() == [("read", "bounce: not delivered, for good")]


def test_a_bounced_letter_suppresses_the_address_it_went_to(office: Office) -> None:
    with office.engine.begin() as connection:
        row = {
            "kind": "confirm",
            "address": "ada@reader.example",
            "address_key": key_of("ada@reader.example"),
            "language": "en",
            "about": {"signup": 1},
            "state": "accepted",
            "attempted_at": int(office.now),
            "made_at": int(office.now),
            "changed_at": int(office.now),
        }
        made = insert(letters).values(row).returning(letters.c.id)
        number = connection.execute(made).scalar_one()
    office.gets(bounce_mail(office.signer.letter_token(number)))
    assert office.suppression("ada") == "hard bounce (5.1.1)"
    assert office.hooks() == []


COMPLAINT = """\
From: feedback@isp.example
To: {to}
Subject: FW: 2026-W01
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

This is an email abuse report.

--b
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: Isp/1.0
Version: 1
Original-Rcpt-To: [redacted]

--b
Content-Type: message/rfc822

From: News <news@news.example.com>
To: [redacted]
{tie}
Subject: 2026-W01

Hello
--b--
"""


def test_a_redacted_complaint_is_tied_by_the_headers_of_the_message(office: Office) -> None:
    ada = office.joins("ada")
    (delivery,) = office.sends("2026-W01", ada)
    tie = f"X-Newsletter-Bot-Ref: {office.signer.bounce_token(delivery)}"
    mail = COMPLAINT.format(to="fbl@news.example.com", kind="abuse", tie=tie)
    office.gets(mail.replace("abuse", "not-spam"))
    assert office.suppression("ada") is None
    office.gets(mail)
    assert office.suppression("ada") == "a complaint, 2026-W01"
    assert office.states("ada") == {"weekly": "unsubscribed"}


def test_a_link_to_unsubscribe_does_no_more_whatever_a_mail_says_it_is_about(
    office: Office,
) -> None:
    ada = office.joins("ada", "weekly", "papers")
    office.sends("2026-W01", ada, state="unknown")
    link = f"https://news.example.com/u/{office.signer.unsubscribe_token(ada, 'weekly')}"
    returned = f"--b\nContent-Type: text/rfc822-headers\n\nList-Unsubscribe: <{link}>\n\n--b--\n"
    office.gets(bounce_mail("f" * 38).replace("--b--\n", returned))
    assert office.consequences() == [
        "none: an unsubscribe link does not say which message came back"
    ]
    assert office.rows(events)[0]["delivery_id"] is None
    tie = f"List-Unsubscribe: <{link}>"
    office.gets(COMPLAINT.format(to="fbl@news.example.com", kind="abuse", tie=tie))
    assert office.states("ada") == {"weekly": "unsubscribed", "papers": "active"}
    assert office.suppression("ada") is None
    assert office.rows(deliveries)[0]["state"] == "unknown", "it may be of an older message"


def test_a_mail_to_the_unsubscribe_address_ends_that_list(office: Office) -> None:
    token = office.signer.unsubscribe_token(office.joins("ada", "weekly", "papers"), "weekly")
    mail = f"From: ada@reader.example\nTo: unsub+{token}@news.example.com\nSubject: unsubscribe\n\n"
    office.gets(mail.replace(token[-3:] + "@", "000@"))
    assert office.states("ada") == {"weekly": "active", "papers": "active"}
    office.gets(mail)
    assert office.states("ada") == {"weekly": "unsubscribed", "papers": "active"}
    assert office.steps()[-1][2] == "mailto"


def test_a_mail_that_tells_nothing_is_read_and_says_so(office: Office) -> None:
    office.gets("From: a@b.example\nSubject: hello\n\nHow are you?\n")
    assert office.rows(events) == []
    assert office.raws() == [("read", "other: nothing in it says that anything came back")]


# ── what relays refuse at once ───────────────────────────────────────────────────────────────


def test_what_a_relay_refuses_has_the_same_consequences_and_is_told_once(office: Office) -> None:
    people = [office.joins(name) for name in ("ada", "bob", "eve")]
    sent = office.sends("2026-W01", *people, state="refused")
    reasons = ("550 5.1.1 user unknown", "550 5.7.1 blocked by spamhaus", "552 5.2.2 mailbox full")
    with office.engine.begin() as connection:
        for number, reason in zip(sent, reasons, strict=True):
            changed = update(deliveries).where(deliveries.c.id == number)
            connection.execute(changed.values(reason=reason))
            keep_refusals(connection, DELIVERY, {number: reason}, int(office.now))
        keep_refusals(connection, LETTER, {99: reasons[0]}, int(office.now))
    assert office.work() == 4
    assert office.suppression("ada") == "hard bounce (5.1.1), 2026-W01"
    assert office.suppression("bob") is None
    assert office.suppression("eve") is None
    assert office.told == []
    office.hears(office.event(sent[0]))
    assert office.hooks() == [], "the ledger told of it"


# ── erased ───────────────────────────────────────────────────────────────────────────────────


def test_erasing_somebody_takes_them_out_of_what_came_back(office: Office) -> None:
    ada = office.joins("ada")
    (delivery,) = office.sends("2026-W01", ada)
    reason = "550 5.1.1 <ada@reader.example>: ada is unknown"
    office.hears(office.event(delivery, reason=reason, email="ada@reader.example"))
    office.gets(bounce_mail(office.signer.bounce_token(delivery), reason))
    found = office.people.dossier("ada@reader.example")
    assert found is not None
    assert [one["issue"] for one in found["events"]] == ["2026-W01", "2026-W01"]  # type: ignore[attr-defined]
    office.people.forget("ada@reader.example")
    later = [office.event(delivery), office.event(delivery, "delivered")]
    office.hears(*later)
    assert office.rows(raw_events) == []
    rows = office.rows(events)
    assert [row["subscriber_id"] for row in rows] == [None] * 4
    assert {row["delivery_id"] for row in rows} == {delivery}
    assert "ada" not in repr(rows)
    assert "none: the person was erased" in {row["consequence"] for row in rows}
    assert office.suppression("ada") == "erased"


def test_what_came_in_is_kept_as_long_as_configured(open_office: MakeOffice) -> None:
    office = open_office(keep_raw="3d")
    (delivery,) = office.sends("2026-W01", office.joins("ada"))
    office.hears(office.event(delivery))
    office.moves(2 * DAY)
    office.hears("nothing", source="unheard-of")
    office.moves(2 * DAY)
    office.intake.keep("sendgrid", b"[]", "new")
    assert office.feedback.purge() == 1
    assert [state for state, _ in office.raws()] == ["broken", "new"]
    assert len(office.rows(events)) == 1


# ── bad input, bad weather ───────────────────────────────────────────────────────────────────


def test_what_cannot_be_read_keeps_nothing_back(office: Office) -> None:
    (delivery,) = office.sends("2026-W01", office.joins("ada"))
    office.intake.keep("postmaster", b"{}", "a")
    office.intake.keep("relay", b"not even JSON", "b")
    office.intake.keep_mail(b"\x00\xff" * 1000)
    office.hears(office.event(delivery))
    states = [state for state, _ in office.raws()]
    assert states == ["broken", "broken", "read", "read"]
    assert [title for _, title, _ in office.told] == [
        "Something from postmaster cannot be read",
        "Something from relay cannot be read",
    ]
    assert "no relay of newsletter.toml is of the kind postmaster" in office.raws()[0][1]
    assert office.suppression("ada") is not None
    office.writer.run(replay)
    assert office.work() == 2
    assert [state for state, _ in office.raws()] == states


def test_a_row_that_the_database_refuses_is_set_apart(office: Office) -> None:
    first, second = office.sends("2026-W01", office.joins("ada"), office.joins("bob"))
    told = [office.event(first), office.event(second)]

    office.intake.keep("sendgrid", json.dumps([told[0]]).encode(), "good")
    # What is no number is an error of PostgreSQL's, and nobody's delivery to SQLite.
    office.intake.keep("relay", json.dumps({"delivery": "x", "reason": "550"}).encode(), "bad")
    office.intake.keep("sendgrid", json.dumps([told[1]]).encode(), "good too")
    office.work()
    states = [state for state, _ in office.raws()]
    assert states in (["read", "broken", "read"], ["read", "read", "read"])
    assert office.suppression("ada")
    assert office.suppression("bob")


def test_a_database_that_takes_no_mark_is_not_asked_for_ever(office: Office) -> None:
    if office.engine.dialect.name == "postgresql":
        pytest.skip("the trigger is SQLite's")
    office.intake.keep("sendgrid", b"[]", "one")
    with office.engine.begin() as connection:
        words = "BEFORE UPDATE ON raw_events BEGIN SELECT RAISE(ABORT, 'no'); END"
        connection.exec_driver_sql(f"CREATE TRIGGER refusing {words}")
    with pytest.raises(IntegrityError):
        office.feedback.work()
    assert [state for state, _ in office.raws()] == ["new"]


def test_what_an_operator_undid_is_not_done_again_by_the_same_event(office: Office) -> None:
    (delivery,) = office.sends("2026-W01", office.joins("ada"))
    told = office.event(delivery)
    office.hears(told)
    assert office.people.unsuppress("ada@reader.example")
    office.replay()
    office.hears(told)  # posted once more, in another batch
    assert office.suppression("ada") is None


def test_read_again_it_changes_nothing(office: Office) -> None:
    people = [office.joins(f"reader{n}") for n in range(6)]
    sent = office.sends("2026-W01", *people)
    kinds = ("bounce", "spamreport", "unsubscribe", "delivered", "open", "nonsense")
    told = [office.event(one, kind) for one, kind in zip(sent, kinds, strict=True)]
    office.hears(*told)
    before = [office.rows(events), office.steps(), office.hooks()]
    office.replay()
    random.Random(3).shuffle(told)
    office.hears(*told)
    assert [office.rows(events), office.steps(), office.hooks()] == before


def test_nothing_that_is_looked_up_reads_everybodys_deliveries(office: Office) -> None:
    if office.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL chooses by the numbers of rows")
    (delivery,) = office.sends("2026-W01", office.joins("ada"))
    asked: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        asked.append((statement, parameters))

    event.listen(office.engine, "before_cursor_execute", note)
    office.hears(office.event(delivery, **FULL))
    office.gets(bounce_mail("").replace("bounce+@", "editor@"))
    event.remove(office.engine, "before_cursor_execute", note)
    reads = [one for one in asked if "FROM deliveries" in one[0]]
    assert len(reads) >= 2
    with office.engine.connect() as connection:
        for statement, parameters in reads:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            assert not [row for row in plan if "SCAN deliveries" in row[-1]], statement
