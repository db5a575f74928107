"""The corpus in this folder: mails written for these tests, with invented addresses."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.feedback.figures import Wanted

FOLDER = Path(__file__).parent / "mails"
TOKEN = "01000000000a2bf3c1d4e5f60718293a4b5c6d"
UNSUBSCRIBE = "010000000000070a1b2c3d9f8e7d6c5b4a392817060504"


@dataclass(frozen=True, slots=True)
class Sample:
    """One mail and what it is."""

    wanted: Wanted
    tied: bool  # names a delivery of ours
    data: bytes


def samples() -> list[Sample]:
    """Return the whole corpus."""
    rows = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
    return [
        Sample(
            wanted=Wanted(
                row["name"],
                row["kind"],
                tuple(address for address, _ in row["recipients"]),
                tuple(fault for _, fault in row["recipients"]),
            ),
            tied=row["tied"],
            data=(FOLDER / f"{row['name']}.eml").read_bytes(),
        )
        for row in rows
    ]
