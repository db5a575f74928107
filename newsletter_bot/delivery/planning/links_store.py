"""The SQL of an issue's links: where each leads, under a number that never means another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, Row, func, insert, select, update

from newsletter_bot.rendering.tracking import TrackedLink
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import issues, links


@dataclass(frozen=True, slots=True)
class IssueLinks:
    """The links of one planned issue, by their numbers."""

    issue_id: int
    urls: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Counted:
    """What a plan adds to a rendering that is counted: the issue's id, its links' numbers."""

    issue_id: int
    numbers: Mapping[str, int]  # by address


def keep_links(connection: Connection, issue_id: int, found: Sequence[TrackedLink]) -> None:
    """Number an issue's links, in the transaction that plans it.

    A sequence message may change after the first copies were sent: its links keep their numbers,
    those that left it too, and new ones get others.
    """
    known = link_numbers(connection, issue_id)
    last = select(func.coalesce(func.max(links.c.number), 0)).where(links.c.issue_id == issue_id)
    following = connection.execute(last).scalar_one()
    new = []
    for link in found:
        said = {"item": link.item, "title": link.title}
        if link.url in known:
            this = (links.c.issue_id == issue_id) & (links.c.number == known[link.url])
            connection.execute(update(links).where(this).values(said))
        else:
            following += 1
            known[link.url] = following
            new.append({"issue_id": issue_id, "number": following, "url": link.url, **said})
    if new:
        connection.execute(insert(links), new)


class LinksStore:
    """Reads links; every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find(self, issue: int | str) -> IssueLinks | None:
        """Return the links of an issue by its id or identity; None for one that is not planned."""
        column = issues.c.id if isinstance(issue, int) else issues.c.identity
        query = select(issues.c.id).where(column == issue)
        with reading(self._engine) as connection:
            number = connection.execute(query).scalar_one_or_none()
            if number is None:
                return None
            urls = {row.number: row.url for row in _rows(connection, number)}
            return IssueLinks(number, urls)


def link_numbers(connection: Connection, issue_id: int) -> dict[str, int]:
    """Return the numbers of an issue's links by their addresses."""
    return {row.url: row.number for row in _rows(connection, issue_id)}


def _rows(connection: Connection, issue_id: int) -> Sequence[Row[int, str]]:
    query = select(links.c.number, links.c.url).where(links.c.issue_id == issue_id)
    return connection.execute(query).all()
