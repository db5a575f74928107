"""People who subscribe as time goes by, and the ledger that greets them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from newsletter_bot.delivery.mailroom import Mailroom
from newsletter_bot.delivery.model import Tally
from newsletter_bot.delivery.planning.sequences import SequenceMessage
from newsletter_bot.delivery.run import Run
from newsletter_bot.rendering.model import Rendering, Static
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.model import NewSubscriber
from newsletter_bot.subscribers.store import SubscriberStore

DAY = 86_400
BY_HAND = {"source": "added by the operator"}
IMPORTED = {"source": "import of people.csv"}


def rendering(identity: str, text: str = "Hello") -> Rendering:
    return Rendering(
        issue=identity,
        subjects=((Static(identity),),),
        html=(Static(f"<p>{text}</p>"),),
        text=(Static(text),),
        language="en",
    )


def message(delay: int = 0, *lists: str, identity: str = "welcome") -> SequenceMessage:
    return SequenceMessage(identity, "Welcome", lists or ("weekly",), delay)


@dataclass
class Clock:
    now: float = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Hall:
    """A newsletter's people and ledger at one time, and a mail server."""

    people: SubscriberStore
    mailroom: Mailroom
    server: Any
    clock: Clock

    def joins(self, *names: str, on: str = "weekly", consent: dict[str, str] = BY_HAND) -> None:
        who = [NewSubscriber(parse_address(f"{name}@example.com"), name) for name in names]
        self.people.add(who, on, consent)

    def greets(self, about: SequenceMessage, text: str = "Hello") -> int:
        return self.mailroom.newcomers.plan(about, rendering(about.identity, text))

    def carries_on(self) -> list[Tally]:
        return [self.mailroom.carry_on(one, Run()) for one in self.mailroom.owed()]

    def sends(self, identity: str, *lists: str) -> Tally:
        what = rendering(identity)
        return self.mailroom.send(what, identity, lists or ("weekly",), Run())

    def got(self, subject: str) -> list[str]:
        """Who has a message with this subject, in order; one with two copies is there twice."""
        found = [one for one in self.server.messages() if one["Subject"] == subject]
        return sorted(str(one["Delivered-To"]).partition("@")[0] for one in found)
