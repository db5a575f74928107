"""A ledger that a test writes row by row: issues, deliveries, and what was heard of them later."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, Table, insert

from newsletter_bot.storage import tables

DAY = 86_400
BEGUN = 1_790_000_000  # in September 2026


@dataclass
class Ledger:
    """Writes rows; ids begin at 1 in each table."""

    engine: Engine
    _ids: dict[str, Any] = field(default_factory=dict)

    def row(self, table: Table, **values: Any) -> int:
        return next(iter(self.rows(table, [values])), 0)

    def rows(self, table: Table, many: Sequence[dict[str, Any]]) -> list[int]:
        """Insert rows that have the same columns, with ids where the table has them."""
        ids = []
        made = [dict(one) for one in many]
        if "id" in table.c:
            count = self._ids.setdefault(table.name, itertools.count(1))
            for one in made:
                one["id"] = next(count)
                ids.append(one["id"])
        if made:
            with self.engine.begin() as connection:
                connection.execute(insert(table), made)
        return ids

    def people(self, addresses: Sequence[str], name: str = "Reader") -> list[int]:
        return self.rows(
            tables.subscribers,
            [
                {
                    "address": one,
                    "address_key": one.lower() if "@" in one else f"erased:{place}",
                    "suppression_key": one.encode() + bytes([place % 256]),
                    "name": f"{name} {place}",
                    "language": "",
                    "fields": {},
                    "added_at": 1,
                }
                for place, one in enumerate(addresses)
            ],
        )

    def issue(self, identity: str, planned_at: int = BEGUN, **values: Any) -> int:
        if "renderings" not in self._ids:
            self._ids["renderings"] = True
            self.row(tables.renderings, hash="none", content="{}", made_at=1)
        usual = {
            "title": f"Issue {identity}",
            "state": "sent",
            "rendering": "none",
            "lists": ["weekly"],
            "selection": {},
            "subject_test": {},
        }
        return self.row(
            tables.issues, identity=identity, planned_at=planned_at, **{**usual, **values}
        )

    def deliver(self, issue: int, people: Sequence[int], **values: Any) -> list[int]:
        """Owe an issue to people; `changed_at` may be a function of a person's place."""
        at = values.pop("changed_at", BEGUN + 60)
        usual = {"list": "weekly", "state": "accepted", "attempts": 1, "reason": "250 Ok"}
        return self.rows(
            tables.deliveries,
            [
                {
                    "issue_id": issue,
                    "subscriber_id": person,
                    "changed_at": at(place) if callable(at) else at,
                    **usual,
                    **values,
                }
                for place, person in enumerate(people)
            ],
        )

    def events(self, kind: str, issue: int, found: Sequence[int | None], **values: Any) -> None:
        """Tell of something that happened to deliveries, once for each."""
        count = self._ids.setdefault("keys", itertools.count(1))
        usual = {"source": "link" if kind == "clicked" else "mail", "at": BEGUN, "received_at": 1}
        self.rows(
            tables.events,
            [
                {
                    "kind": kind,
                    "issue_id": issue,
                    "delivery_id": one,
                    "key": str(next(count)),
                    **usual,
                    **values,
                }
                for one in found
            ],
        )

    def changes(self, people: Sequence[int], state: str, by: str, at: int, list_: str = "") -> None:
        self.rows(
            tables.subscription_changes,
            [
                {
                    "subscriber_id": one,
                    "list": list_ or "weekly",
                    "state": state,
                    "by": by,
                    "at": at,
                }
                for one in people
            ],
        )


TITLES = (
    "Networks that beat EfficientNet without batch norm",
    "Custom object detection in the browser",
    "An introduction to a technique whose name alone takes more room than any telephone has",
    "正規化層を使わない残差ネットワークで高精度な画像認識を実現する方法についての論文",
    "Building blocks of interpretability",
    "The state of sparse attention",
    "How we cut our inference bill by two thirds",
)
WORDS = (
    "550 5.1.1 The email account that you tried to reach does not exist gsmtp 42x-{}",
    "552 5.2.2 <{}@example> Mailbox full",
    "550 5.7.1 Message rejected as spam by our policy, see https://spam.example/{}",
)


def rich(ledger: Ledger, people: int = 3000) -> None:
    """Write a year's quarter of an invented newsletter with something of everything."""
    chance = random.Random(7)
    domains = ["gmail.com"] * 46 + ["outlook.com"] * 17 + ["yahoo.co.jp"] * 9 + ["icloud.com"] * 7
    domains += [f"company-{one}.example" for one in range(14)] + ["proton.me"] * 4
    readers = ledger.people(
        [f"reader{one}@{chance.choice(domains)}" for one in range(people)]
        + [f"me@private{one}.example" for one in range(people // 50)]
    )
    ledger.changes(readers, "active", "import", BEGUN - 400 * DAY)
    joined = itertools.cycle(readers)
    for week in range(12):
        at = BEGUN + week * 7 * DAY
        some = [next(joined) for _ in range(chance.randint(20, 60))]
        ledger.changes(some, "active", "confirm", at + 2 * DAY)
        _issue(ledger, chance, week, readers[: len(readers) * (week + 24) // 36])


def _issue(ledger: Ledger, chance: random.Random, week: int, readers: Sequence[int]) -> None:
    at = BEGUN + week * 7 * DAY
    last = week == 11
    test = {
        "subjects": ["Batch norm may not be needed after all", "Ten papers for a long weekend"],
        "decided_at": at + 7200,
        "wait_until": at + 7200,
        "winner": 0,
        "why": "“Batch norm may not be needed after all” won: 9.8 % clicked after it, 5.9 % after"
        " the other; at 95 % the lead is between 1.1 and 6.7 points.",
        "variants": [
            {"variant": 0, "sent": 520, "clicked": 51},
            {"variant": 1, "sent": 511, "clicked": 30},
        ],
    }
    issue = ledger.issue(
        f"2026-W{38 + week}",
        at,
        title="Batch norm may not be needed after all, and nine more" if last else f"Week {week}",
        finished_at=at + 9000,
        subject_test=test if last else {},
    )
    cut = [chance.random() for _ in readers]
    took = [one for one, where in zip(readers, cut, strict=True) if where < 0.955]

    def when(place: int) -> int:
        return (
            at
            + 30
            + place * 2400 // len(took)
            + (chance.randint(900, 9000) if place % 23 == 0 else 0)
        )

    got = ledger.deliver(issue, took, changed_at=when)
    rest = [one for one, where in zip(readers, cut, strict=True) if where >= 0.955]
    for place, one in enumerate(rest):
        state = ("refused", "refused", "skipped", "expired", "unknown", "refused")[place % 6]
        words = WORDS[place % 3].format(place) if state != "skipped" else "gets the monthly digest"
        ledger.deliver(issue, [one], state=state, reason=words, changed_at=at + 100)
    for place, kind in enumerate(("hard", "soft", "block", "technical")):
        back = chance.sample(got, 24 // (place + 1))
        ledger.events(
            "bounced", issue, back, reason=WORDS[place % 3].format(place), **{"class": kind}
        )
    ledger.events("complained", issue, chance.sample(got, (0, 1, 2, 1, 5)[week % 5]))
    _clicks(ledger, chance, issue, got)
    went = chance.sample(took, chance.randint(3, 22))
    ledger.changes(went[2:], "unsubscribed", "one-click", at + 2 * DAY)
    ledger.changes(went[:2], "unsubscribed", "page", at + 3 * DAY)


def _clicks(ledger: Ledger, chance: random.Random, issue: int, got: Sequence[int]) -> None:
    for place, title in enumerate(TITLES):
        ledger.row(
            tables.links,
            issue_id=issue,
            number=place + 1,
            url=f"https://example.org/{place}",
            item=f"item-{place}",
            title=title,
        )
        people = chance.sample(got, len(got) // (12 + 6 * place))
        ledger.events("clicked", issue, people, link=place + 1, actor="human")
        machines = chance.sample(got, len(got) // 40)
        ledger.events("clicked", issue, machines, link=place + 1, actor="machine", why="prefetch")
        ledger.events("clicked", issue, machines[:9], link=place + 1, actor="unknown")
    ledger.events("opened", issue, got[: len(got) // 3], actor="machine")
    ledger.events("opened", issue, got[: len(got) // 9], actor="unknown")
