"""What came in, on a real database: tied, acted on once, in any order, however often."""

from __future__ import annotations

from tests.feedback.office import DAY, Office, bounce_mail


def test_a_hard_bounce_suppresses_and_webhooks_hear_of_it_once(office: Office) -> None:
    ada = office.joins("ada")
    (delivery,) = office.sends("2026-W01", ada)
    event = office.event(delivery)
    assert office.hears(event, event) == 1
    office.hears(event)
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
