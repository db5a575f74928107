"""What an editor looks at before anybody else: a message as readers would get it, and proofs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from newsletter_bot.delivery.composing.composer import Composer, as_proof
from newsletter_bot.delivery.model import DeliveryState, Message, Outcome, Recipient
from newsletter_bot.delivery.single import hand_over
from newsletter_bot.delivery.transports import RelayError, open_transport
from newsletter_bot.errors import TryAgainError
from newsletter_bot.rendering.model import Rendering
from newsletter_bot.settings import Settings


class Proofs:
    """Writes and sends copies outside the ledger."""

    def __init__(
        self, settings: Settings, secret: bytes, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._secret = secret
        self._clock = clock

    def send(self, rendering: Rendering, values: Mapping[str, str], to: str) -> Outcome:
        """Send a copy with each subject; returns the first outcome that is not what was wanted.

        Raises TryAgainError when the relay gives out.
        """
        marked = as_proof(rendering)
        copies = (self.sample(marked, values, to, one) for one in range(len(rendering.subjects)))
        outcomes = [self._hand_over(one) for one in copies]
        failed = (one for one in outcomes if one.state is not DeliveryState.ACCEPTED)
        return next(failed, outcomes[0])

    def _hand_over(self, message: Message) -> Outcome:
        """Send one message through a session of its own: copies share an id, that of nobody."""
        transport = open_transport(self._settings.routes[0], self._settings.folder)
        try:
            outcomes = [one for _, one in hand_over(transport, [message])]
        except RelayError as error:
            raise TryAgainError(
                f"The proof was not sent: {error.reason}.",
                "Check [transport] in newsletter.toml and that the server runs, then try again.",
            ) from error
        return outcomes[0]

    def sample(
        self, rendering: Rendering, values: Mapping[str, str], to: str, variant: int = 0
    ) -> Message:
        """Write the message as an invented reader would get it."""
        composer = Composer(rendering, self._settings, self._secret)
        recipient = Recipient(
            delivery_id=0,
            subscriber_id=0,
            address=to,
            name="",
            list=self._settings.lists[0].id,
            values=values,
            variant=variant,
        )
        return composer.compose(recipient, int(self._clock()))
