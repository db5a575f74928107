"""One session's letters: each is begun right before it is handed over, and settled right after."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from threading import Event

from newsletter_bot.delivery.letters.composer import LetterComposer
from newsletter_bot.delivery.letters.letters_store import LettersStore
from newsletter_bot.delivery.letters.model import Letter, Matter, Moot, Post
from newsletter_bot.delivery.letters.turns import Turns
from newsletter_bot.delivery.model import DeliveryState, Message, Outcome
from newsletter_bot.delivery.relaying.replies import Kind, kind_of
from newsletter_bot.delivery.relaying.retry import wait_after
from newsletter_bot.delivery.single import hand_over
from newsletter_bot.delivery.transports import ConnectionEndedError, RelayError, Transport
from newsletter_bot.errors import DataError, NewsletterError, TryAgainError
from newsletter_bot.subscribers.consent import LetterKind

_AT_ONCE = 100  # letters of one session
_SHORT = 0.2  # seconds that a session may be left alone
_PAUSE = 60  # seconds for a letter that was in flight when the connection was lost, then double
_LONGEST_PAUSE = 3600
PATIENCE = 5.0  # seconds that it is kept for a letter's turn; a later one is left to a later round
_GREETED = Moot("welcome.md is sent instead")


@dataclass(frozen=True)
class Desk:
    """What letters are written and sent with."""

    store: LettersStore
    composer: LetterComposer
    turns: Turns
    retry_after: int  # seconds
    deadline: int  # seconds after the first attempt
    greeted: Collection[str]  # lists whose newcomers get a message of the newsletter's own


@dataclass
class Round:
    """What is begun in one session, and whether that could go on."""

    desk: Desk
    stop: Event
    post: Post
    _begun: dict[int, tuple[Letter, Matter]] = field(default_factory=dict)  # without an outcome
    _settled: int = 0
    _trouble: NewsletterError | None = None

    def work(self, transport: Transport) -> None:
        """Send letters that are due; raises TryAgainError, ConfigurationError."""
        try:
            for message, outcome in hand_over(transport, self._messages()):
                self._settle(message, outcome)
        except RelayError as error:
            peaceful = self._settled > 0 and isinstance(error, ConnectionEndedError)
            self._put_back(at_once=peaceful)
            if not peaceful:
                raise TryAgainError(
                    f"Letters were not sent: {error.reason}. They stay owed.",
                    "Check [transport] in newsletter.toml and that the server runs.",
                ) from error
        if self._trouble is not None:
            raise self._trouble

    def _put_back(self, *, at_once: bool) -> None:
        """Owe again what certainly did not leave; later, lest one letter keeps others back."""
        for letter, _ in self._begun.values():
            wait = min(wait_after(letter.attempts + 1, _PAUSE), _LONGEST_PAUSE)
            self.desk.store.release(letter.id, None if at_once else self.desk.store.now() + wait)

    def _messages(self) -> Iterator[Message | None]:
        for letter in self.desk.store.due(_AT_ONCE):
            while (wait := self.desk.turns.wait()) > _SHORT:
                if wait > PATIENCE or self.stop.is_set():
                    return
                yield None
            while letter.attempts and self._begun:
                yield None  # one that met trouble travels alone, so that it takes nobody with it
            if self.stop.wait(wait):
                return
            try:
                message = self._ready(letter)
            except NewsletterError as error:  # raised once what is in flight was heard out
                self._trouble = error
                return
            if message is not None:
                yield message

    def _ready(self, letter: Letter) -> Message | None:
        """Begin a letter and return it, or settle one that must not be sent any more."""
        store = self.desk.store
        found = self._matter(letter)
        if isinstance(found, Matter):
            try:
                date = letter.attempted_at or store.now()
                message = self.desk.composer.compose(letter, found, date)
            except DataError as error:
                moot = Moot(error.message, DeliveryState.REFUSED)
            else:
                begun = store.begin(letter)
                if begun is None:
                    self.desk.turns.take()
                    self._begun[letter.id] = letter, found
                    return message
                moot = begun
        else:
            moot = found
        if store.skip(letter, moot):
            self.post.states[moot.state] += 1
        return None

    def _matter(self, letter: Letter) -> Matter | Moot:
        found = self.desk.store.look(letter)
        if letter.kind == LetterKind.WELCOME and isinstance(found, Matter):
            return _GREETED if found.list in self.desk.greeted else found
        return found

    def _settle(self, message: Message, outcome: Outcome) -> None:
        letter, matter = self._begun.pop(message.delivery_id)
        not_before = None
        if outcome.state is DeliveryState.DEFERRED:
            not_before = self._again(letter, matter)
            if not_before is None:
                outcome = Outcome(DeliveryState.EXPIRED, outcome.reason)
        self.desk.store.settle(letter.id, outcome, not_before)
        self._settled += 1
        self.post.states[outcome.state] += 1
        if outcome.state is DeliveryState.REFUSED and kind_of(outcome.reason) is Kind.ABOUT_US:
            self.post.about_us = outcome.reason

    def _again(self, letter: Letter, matter: Matter) -> int | None:
        """Return when to try again; None when its link, or our patience, is over by then."""
        now = self.desk.store.now()
        again = now + wait_after(letter.attempts + 1, self.desk.retry_after)
        end = (letter.attempted_at or now) + self.desk.deadline
        if matter.until is not None:
            end = min(end, matter.until)
        return again if again < end else None
