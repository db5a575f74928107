"""What one run of sending works with, put together from the settings and the database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

from newsletter_bot.delivery.backlog import Backlog
from newsletter_bot.delivery.calls.chunks import ChunkBook
from newsletter_bot.delivery.calls.transport import CallTransport
from newsletter_bot.delivery.composing.composer import Composer
from newsletter_bot.delivery.lanes import Lane
from newsletter_bot.delivery.recorder import Recorder
from newsletter_bot.delivery.relaying.breaker import Breaker
from newsletter_bot.delivery.relaying.domains import Domains
from newsletter_bot.delivery.relaying.pacing import Limits, Pace, WarmUp, Window
from newsletter_bot.delivery.relaying.pacing_store import PacingStore
from newsletter_bot.delivery.relaying.relays import PAUSES, Relay, Router
from newsletter_bot.delivery.store import LedgerStore
from newsletter_bot.delivery.transports import Transport, open_transport
from newsletter_bot.errors import ConfigurationError
from newsletter_bot.settings import Settings
from newsletter_bot.settings.tables import NamedRelayTable


@dataclass(frozen=True)
class Means:
    """What a run works with; each part knows its own trade."""

    store: LedgerStore
    pacing: PacingStore
    relays: Sequence[Relay]
    backlog: Backlog
    domains: Domains
    composer: Composer
    recorder: Recorder
    breaker: Breaker
    retry_after: int  # seconds
    deadline: float  # seconds since 1970 UTC
    pause: Callable[[str], None]  # says in the ledger that the issue is paused, and why
    progress: Callable[[], None] = lambda: None
    test_until: Callable[[], float] = lambda: inf  # when a test of subjects is to be decided
    books: Sequence[ChunkBook] = ()  # of the relays whose chunks are written down

    @property
    def most_at_once(self) -> int:
        """How many messages all connections together may hold."""
        return sum(one.connections * _batch(one.transport) for one in self.relays)


def router_of(relays: Sequence[Relay], lists: Sequence[str], composer: Composer) -> Router:
    """Say who carries what; raises ConfigurationError for a list that nobody carries."""
    router = Router(relays, {one: composer.domain_of(one).lower() for one in lists})
    stray = router.unroutable(lists)
    if stray is not None:
        raise ConfigurationError(
            f"newsletter.toml: no relay carries the list {stray!r}.",
            "Add it to the lists of one of [[relays]], or leave that key out there.",
        )
    return router


def domains_of(most: int, pacing: PacingStore, relays: Sequence[Relay]) -> Domains:
    """Return the limits of recipients' domains; none for providers, which queue themselves."""
    free = {one.name for one in relays if isinstance(one.transport, CallTransport)}
    return Domains(most, pacing.limits(), free)


def _batch(transport: Transport) -> int:
    return transport.provider.shape.most if isinstance(transport, CallTransport) else 2


def lanes_of(relays: Sequence[Relay], due: int) -> list[Lane]:
    """Make a lane for each connection that the deliveries due can use."""
    return [Lane(one) for one in relays for _ in range(min(one.connections, max(1, due)))]


def relays_of(settings: Settings, pacing: PacingStore) -> list[Relay]:
    """Open the relays of the settings; raises ConfigurationError."""
    failed = pacing.failures()
    return [_relay(table, settings, pacing, failed) for table in settings.routes]


def _relay(
    table: NamedRelayTable,
    settings: Settings,
    pacing: PacingStore,
    failed: dict[str, tuple[int, str]],
) -> Relay:
    # A relay that failed last time is asked once, at once: whoever runs this again may have mended
    # it. Failing again, it is given up without the patience a relay in good standing gets.
    failures, reason = failed.get(table.name, (0, ""))
    return Relay(
        name=table.name,
        transport=open_transport(table, settings.folder),
        connections=table.connections,
        pace=Pace(table.name, limits_of(table, settings), pacing),
        weight=table.weight,
        lists=frozenset(table.lists),
        domains=frozenset(one.lower() for one in table.from_domains),
        failures=min(failures, len(PAUSES)),
        reason=reason,
    )


def limits_of(table: NamedRelayTable, settings: Settings) -> Limits:
    """Return what holds a relay back."""
    warm_up = None
    if table.warmup is not None:
        zone = settings.newsletter.zone
        warm_up = WarmUp(table.warmup.begin, table.warmup.daily, zone)
    return Limits(
        rate=None if table.rate == "unlimited" else Window.read(table.rate),
        windows=tuple(Window.read(one) for one in table.windows),
        warm_up=warm_up,
    )
