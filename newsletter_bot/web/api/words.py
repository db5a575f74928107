"""The kinds of values that requests and answers are made of."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
_TAG = r"^[^\x00-\x20\x7f-\xa0,+\-\u2028\u2029\s][^\x00-\x20\x7f-\xa0,\u2028\u2029\s]*$"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
# Ids go as far as every JSON reader keeps whole numbers (RFC 8259 section 6).
_LAST = 2**53 - 1


class Body(BaseModel):
    """What a request says: a name it does not know is an error, and nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        raise ValueError("a time as RFC 3339 writes it, like 2026-11-29T08:00:00Z, is needed")
    return datetime.fromisoformat(value.upper()[:19] + (_zone(value)))


def _zone(value: str) -> str:
    return "+00:00" if value[-1] in "zZ" else value[-6:]


Moment = Annotated[datetime, BeforeValidator(_moment), Field(strict=False)]
Line = Annotated[str, Field(max_length=200, pattern=_LINE)]
AddressText = Annotated[
    str, Field(min_length=3, max_length=254, pattern=_LINE, examples=["ada@example.com"])
]
Reason = Annotated[str, Field(min_length=1, max_length=500, pattern=_LINE)]
ListId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", examples=["weekly"])]
Tag = Annotated[str, Field(max_length=64, pattern=_TAG, examples=["reviewer"])]
Id = Annotated[int, Field(ge=1, le=_LAST)]
Identity = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", examples=["2026-W47"])]


def moment(at: int | None) -> datetime | None:
    """Return seconds since 1970 UTC as a time that says its zone."""
    return None if at is None else datetime.fromtimestamp(at, UTC)
