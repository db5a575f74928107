"""What people ask for and agree to, in values: requests, evidence, choices, and why we say no."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from newsletter_bot.errors import DataError, NewsletterError


class By(StrEnum):
    """Who or what changed a subscription's state."""

    FORM = "form"
    CONFIRM = "confirm"
    ONE_CLICK = "one-click"  # RFC 8058
    PAGE = "page"
    MAILTO = "mailto"
    OPERATOR = "operator"
    API = "api"
    IMPORT = "import"
    ADDRESS_CHANGE = "address-change"
    COMPLAINT = "complaint"  # a reader called it spam
    PROVIDER = "provider"  # left by a link or list of the provider's own


class Frequency(StrEnum):
    """How often somebody wants to hear from us."""

    EVERY = "every"
    MONTHLY = "monthly"


class LetterKind(StrEnum):
    """A mail to one person that belongs to no issue; in brackets what its `about` holds."""

    CONFIRM = "confirm"  # {"signup": id}
    KNOWN = "known"  # {"subscriber": id}
    WELCOME = "welcome"  # {"subscriber": id, "list": list id}
    AGREE_OLD = "agree-old"  # {"change": id}
    AGREE_NEW = "agree-new"  # {"change": id}
    MOVED = "moved"  # {"subscriber": id}, to the address that was left


INVITED = "invited by the operator"  # `source` of such a consent; a program's is `api`


@dataclass(frozen=True, slots=True)
class Evidence:
    """What shows later that somebody agreed: the page, its words and their version.

    `prefix` is the network a request came from, never the whole address: `203.0.113.0/24`.
    """

    page: str = ""
    wording: str = ""
    version: str = ""
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class SignupRequest:
    """What the form sends; `proved` tells that a proof of work was shown."""

    address: str
    lists: tuple[str, ...]
    name: str = ""
    language: str = ""
    evidence: Evidence = field(default_factory=Evidence)
    proved: bool = False


class SignupState(StrEnum):
    """Where a request that was mailed stands."""

    WAITING = "waiting"
    CONFIRMED = "confirmed"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class PendingSignup:
    """A request, as the page of its confirm link shows it."""

    id: int
    lists: tuple[str, ...]
    language: str
    state: SignupState


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A request after its confirmation, whoever confirmed it first."""

    state: SignupState
    subscriber_id: int | None
    lists: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person chose: `lists` are those wanted; nothing is sent before `paused_until`."""

    name: str
    language: str
    frequency: Frequency
    paused_until: int | None  # seconds since 1970 UTC
    lists: frozenset[str]


class ChangeState(StrEnum):
    """Where a change of address stands."""

    WAITING = "waiting"
    DONE = "done"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class AddressChange:
    """A change of address; `old` is the person's address now, which once done is the new one."""

    id: int
    subscriber_id: int
    old: str
    new: str
    old_agreed: bool
    new_agreed: bool
    state: ChangeState


class LimitError(NewsletterError):
    """Asked too often; `retry_after` seconds later it may be asked again."""

    exit_code = 75

    def __init__(self, retry_after: int) -> None:
        super().__init__("That was asked too often.", f"Ask again in {retry_after} seconds.")
        self.retry_after = retry_after


class ClosedError(NewsletterError):
    """Nobody may sign up just now: the operator closed the form, or a spike paused it."""

    exit_code = 75


class UnknownPersonError(DataError):
    """There is nobody with that address or id."""

    def __init__(self) -> None:
        super().__init__("There is no such subscriber.")
