"""People → CSV, safe to open in a spreadsheet.

A cell that a spreadsheet would run as a formula (OWASP "CSV injection": it begins with = + - @,
tab or CR) gets an apostrophe in front; reading takes it off again, so a round trip loses nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import IO

from newsletter_bot.subscribers.model import Subscriber, Subscription

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def neutral(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.lstrip("'").startswith(_FORMULA) else cell


def as_it_was(cell: str) -> str:
    """Undo `neutral`."""
    if cell.startswith("'") and cell.lstrip("'").startswith(_FORMULA):
        return cell[1:]
    return cell


def write_csv(
    people: Iterable[tuple[Subscriber, Subscription, bool]], fields: Sequence[str], out: IO[str]
) -> int:
    """Write a header and one row a person; returns how many rows.

    The third of each tuple tells whether the person is suppressed, which then is the state
    written. A row whose state does not ask for mail subscribes nobody when it is imported.
    """
    writer = csv.writer(out, lineterminator="\r\n")  # RFC 4180 section 2
    own = [name for name in fields if name not in ("name", "language")]
    writer.writerow(["email", "name", "language", "list", "state", "since", *own])
    count = 0
    for person, subscription, suppressed in people:
        since = datetime.fromtimestamp(subscription.changed_at, UTC).isoformat()
        cells = [person.address, person.name, person.language, subscription.list]
        cells += ["suppressed" if suppressed else subscription.state.value, since]
        cells += [person.fields.get(name, "") for name in own]
        writer.writerow([neutral(cell) for cell in cells])
        count += 1
    return count
