"""What is counted of an issue, and the links that are: a part of its rendering."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Detail(StrEnum):
    """How closely opens or clicks are counted."""

    OFF = "off"
    AGGREGATE = "aggregate"  # how often, not by whom
    INDIVIDUAL = "individual"  # by which reader

    def at_most(self, other: Detail) -> Detail:
        """Return the one of the two that tells less about readers."""
        return min(self, other, key=list(Detail).index)


@dataclass(frozen=True, slots=True)
class TrackedLink:
    """A link that may be counted: where it leads, the item it belongs to, and what that is."""

    url: str
    item: str  # the item's anchor, empty for other links
    title: str


@dataclass(frozen=True, slots=True)
class Tracking:
    """What is counted of one issue; it is approved and planned with the words."""

    clicks: Detail = Detail.OFF
    opens: Detail = Detail.OFF
    links: tuple[TrackedLink, ...] = ()

    @property
    def is_on(self) -> bool:
        """True when anything is counted."""
        return bool({self.clicks, self.opens} - {Detail.OFF})

    @property
    def knows_readers(self) -> bool:
        """True when a message says to whom it was sent."""
        return Detail.INDIVIDUAL in {self.clicks, self.opens}

    def to_json(self) -> dict[str, Any]:
        """Write it as a part of a rendering."""
        links = [[one.url, one.item, one.title] for one in self.links]
        return {"clicks": self.clicks.value, "opens": self.opens.value, "links": links}

    @classmethod
    def from_json(cls, value: dict[str, Any] | None) -> Tracking:
        """Read back what `to_json` wrote; of a rendering without it nothing is counted."""
        if value is None:
            return UNTRACKED
        links = tuple(TrackedLink(*one) for one in value["links"])
        return cls(Detail(value["clicks"]), Detail(value["opens"]), links)


UNTRACKED = Tracking()
