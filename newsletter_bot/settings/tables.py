"""The tables of newsletter.toml, each key with what it may be."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, model_validator

DEFAULT_RELAY = "default"


def _one_line(value: str) -> str:
    if re.search(r"[\r\n\x00]", value):
        raise ValueError("a line break or NUL is not allowed here")
    return value


def _zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError(f"{value!r} is not a time zone of the IANA database, like Asia/Tokyo")
    return value


def _web_address(value: str) -> str:
    if not re.match(r"https?://[^\s/]+", value):
        raise ValueError("an address that begins with https:// is needed")
    return value.rstrip("/")


def _duration(value: str) -> str:
    seconds(value)
    return value


def _at_least_a_second(value: str) -> str:
    if seconds(value) < 1:
        raise ValueError("at least 1s is needed")
    return value


OneLine = Annotated[str, AfterValidator(_one_line)]
Selector = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$")]
WebAddress = Annotated[OneLine, AfterValidator(_web_address)]
Duration = Annotated[str, AfterValidator(_duration)]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(duration: str) -> int:
    """Read a duration like "90s", "6h" or "2d" as seconds."""
    found = re.fullmatch(r"(\d+)([smhd])", duration)
    if not found:
        raise ValueError(f"{duration!r} is not a duration like 30m, 6h or 2d")
    return int(found[1]) * _UNITS[found[2]]


class Table(BaseModel):
    """A table of newsletter.toml: a key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class NewsletterTable(Table):
    """[newsletter]: who publishes, where, and in whose name."""

    name: OneLine
    url: WebAddress
    from_: OneLine = Field(alias="from")
    reply_to: OneLine | None = None
    postal_address: OneLine = ""
    language: OneLine = "en"
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    theme: OneLine = "weekly"
    description: OneLine = ""

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which the newsletter's wall clock hangs."""
        return ZoneInfo(self.timezone)


class ListTable(Table):
    """[[lists]]: an opt-in unit; its id goes into List-Id, its sender may be its own."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    name: OneLine
    description: OneLine = ""
    public: bool = True
    from_: OneLine | None = Field(default=None, alias="from")


class SlotTable(Table):
    """[[slots]]: a weekly wall-clock time at which an issue goes out."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    when: Annotated[str, Field(pattern=r"^(mon|tue|wed|thu|fri|sat|sun) ([01]\d|2[0-3]):[0-5]\d$")]
    late: Duration = "6h"
    grace: Duration = "2m"
    none_ready: Literal["skip", "remind"] = "remind"
    approval: Literal["required", "automatic"] = "required"


class SubscribersTable(Table):
    """[subscribers]: the fields of your own that a CSV may fill and a slot may print."""

    fields: tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")], ...] = ()


class DatabaseTable(Table):
    """[database]: where the ledger lives; a relative SQLite path starts at the folder."""

    url: str = "sqlite:///newsletter.db"


class WarmupTable(Table):
    """[transport.warmup]: how many messages a new sender may send on its first days."""

    begin: date
    daily: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]


Window = Annotated[str, Field(pattern=r"^[1-9]\d*/[mhd]$")]
Rate = Annotated[str, Field(pattern=r"^[1-9]\d*/[smhd]$")]


class RelayTable(BaseModel):
    """What every relay understands; the rest are the options of its kind of transport."""

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: str = "smtp"
    connections: Annotated[int, Field(ge=1, le=64)] = 8
    rate: Literal["unlimited"] | Rate = "unlimited"
    windows: tuple[Window, ...] = ()
    warmup: WarmupTable | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The keys that belong to this kind of transport alone."""
        return dict(self.model_extra or {})

    @property
    def place(self) -> str:
        """Where in newsletter.toml this table stands, for messages."""
        return "transport"


class TransportTable(RelayTable):
    """[transport]: how everything is sent; and the relay, when there is but one."""

    unknown: Literal["hold", "resend"] = "hold"
    deadline: Duration = "48h"
    retry_after: Annotated[Duration, AfterValidator(_at_least_a_second)] = "5m"
    domain_connections: Annotated[int, Field(ge=1, le=1000)] = 20


class NamedRelayTable(RelayTable):
    """[[relays]]: one of several ways out, with its share and what is routed to it."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    weight: Annotated[int, Field(ge=1, le=1000)] = 1
    lists: tuple[str, ...] = ()
    from_domains: tuple[OneLine, ...] = ()

    @property
    def place(self) -> str:
        """Where in newsletter.toml this table stands, for messages."""
        return "transport" if self.name == DEFAULT_RELAY else f"relays.{self.name}"


class DkimTable(Table):
    """[dkim]: the keys that sign, and where their public halves are published."""

    domain: Annotated[str, Field(pattern=r"^[^\s.:;/@]+(\.[^\s.:;/@]+)*$")]
    selector: Selector
    key_file: str
    ed25519_selector: Selector | None = None
    ed25519_key_file: str | None = None

    @model_validator(mode="after")
    def _one_name_for_each_key(self) -> DkimTable:
        if (self.ed25519_selector is None) != (self.ed25519_key_file is None):
            raise ValueError("ed25519_selector and ed25519_key_file belong together")
        if self.ed25519_selector == self.selector:
            raise ValueError(f"two keys cannot share the selector {self.selector!r}")
        return self


class TrackingTable(Table):
    """[tracking]: what is counted about readers (nothing, unless asked), and link parameters."""

    opens: Literal["off", "aggregate", "individual"] = "off"
    clicks: Literal["off", "aggregate", "individual"] = "off"
    keep: Duration = "30d"
    utm: dict[Annotated[str, Field(pattern=r"^(source|medium|campaign|term|content)$")], str] = (
        Field(default_factory=dict)
    )


class SubjectTestTable(Table):
    """[subject_test]: who gets which of an issue's subjects before the others, and for how long."""

    share: Annotated[float, Field(gt=0, le=1)] = 0.2
    wait: Annotated[Duration, AfterValidator(_at_least_a_second)] = "4h"
    least: PositiveInt = 100


class ArchiveTable(Table):
    """[archive]: where `archive build` writes the static site."""

    folder: str = "site"
