"""Places other than mail, one file each, found by discovery: a new file is a new channel."""

from __future__ import annotations

from typing import Any, Protocol

from newsletter_bot.crosspost.model import Post, Receipt
from newsletter_bot.crosspost.options import ChannelTable, Means
from newsletter_bot.settings.kinds import Kinds


class Channel(Protocol):
    """A configured channel. One thread uses it, for one run."""

    limit: int
    """The most that `weigh` may return for a post that the service takes."""
    safe_for: float
    """Seconds after an attempt whose reply was lost in which posting again cannot make a second.

    0 where nothing prevents a second one, `math.inf` where the post has a name of its own.
    """
    spacing: float
    """Seconds to leave between two posts."""
    cap: float | None
    """US dollars a month, beyond which posts are skipped."""

    def weigh(self, text: str) -> int:
        """Measure a text as the service does."""
        ...

    def cost(self, text: str) -> float:
        """Return what posting this text costs, in US dollars."""
        ...

    def post(self, post: Post) -> Receipt:
        """Post it, in one request that can create something; raises a ChannelError.

        The ledger has committed `posting` before. LostError is for a request that may have been
        carried out; every other ChannelError promises that nothing was posted.
        """
        ...


class ChannelKind(Protocol):
    """What a channel's module offers under its own name (`x` is `[channels.x]`)."""

    description: str
    idempotency: str
    """What happens to a post whose reply was lost, in a sentence."""
    price: str
    story: bool
    """True for a channel that posts the whole article instead of a line."""
    card: bool
    """True for a channel that shows the link as a card of its own instead of in the text."""
    Options: type[ChannelTable]

    def open_channel(self, options: Any, means: Means) -> Channel:
        """Make the channel from its checked options; asks no server and reads no secret."""
        ...


def kinds() -> Kinds[ChannelKind]:
    """Return every channel there is, by name."""
    return Kinds(__name__, __path__)
