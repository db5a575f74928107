"""Clicks by item: an item's links together, other links each by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from newsletter_bot.reports.events_store import Link
from newsletter_bot.reports.model import Clicks, ItemClicks
from newsletter_bot.reports.words import clean

_ELSEWHERE = "links that the issue does not list"


def item_clicks(links: Mapping[int, Link], clicks: Mapping[int | None, Clicks]) -> list[ItemClicks]:
    """Add up clicks by item, the most followed by people first; ties as they stand in the issue.

    Readers of an item are those of its link with the most: one who follows two links is one.
    """
    found: dict[tuple[str, str], list[Clicks]] = {}
    titles: dict[tuple[str, str], str] = {}
    for number, link in links.items():
        key = ("item", link.item) if link.item else ("link", link.url)
        found.setdefault(key, []).append(clicks.get(number, Clicks()))
        titles.setdefault(key, clean(link.title or link.url))
    other = [one for number, one in clicks.items() if number not in links]
    if other:
        found["link", ""], titles["link", ""] = other, _ELSEWHERE
    made = [
        ItemClicks(key[1] if key[0] == "item" else "", titles[key], summed(counts))
        for key, counts in found.items()
    ]
    return sorted(made, key=lambda one: (-one.clicks.human, -one.clicks.total))


def summed(counts: Iterable[Clicks]) -> Clicks:
    """Add up clicks; their readers are those of the most, for they may be the same."""
    counts = tuple(counts)
    return Clicks(
        sum(one.human for one in counts),
        sum(one.machine for one in counts),
        sum(one.unknown for one in counts),
        max((one.readers for one in counts), default=0),
    )
