"""The SQL of refusals: kept for the duty `feedback`, which suppresses where the address is why.

They are written in the transaction of the outcome: both are on disk, or neither.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import Connection

from newsletter_bot.storage.tables import raw_events
from newsletter_bot.storage.upsert import upserting

RELAY = "relay"  # their source among what came in
DELIVERY, LETTER = "delivery", "letter"


def keep_refusals(connection: Connection, of: str, reasons: Mapping[int, str], now: int) -> None:
    """Keep what a relay said when it refused deliveries or letters for good, by their ids."""
    rows = [
        {
            "source": RELAY,
            "key": f"{of}:{number}:{now}",  # one that is tried again may be refused again
            "body": json.dumps({of: number, "reason": reason}).encode(),
            "state": "new",
            "received_at": now,
        }
        for number, reason in reasons.items()
    ]
    if rows:
        # A second may come twice, when a clock is set back: that is no trouble of the ledger.
        known = ["source", "key"]
        keeping = upserting(connection, raw_events).on_conflict_do_nothing(index_elements=known)
        connection.execute(keeping, rows)
