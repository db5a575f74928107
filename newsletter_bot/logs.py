"""Structured logs: one action for each record, addresses and tokens redacted."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

_LOGGER = logging.getLogger("newsletter_bot")
_ADDRESS = re.compile(r"([^\s<>()\[\]\"',;:@])[^\s<>()\[\]\"',;:@]*@([^\s<>()\[\]\"',;:@]+)")
_TOKEN = re.compile(
    r"(/[ucpa]/|unsub\+|bounce\+|unsub%2B|bounce%2B|nbk_|whsec_|Bearer\s+)[\w.~=+/-]+",
    re.IGNORECASE,
)
_SECRET = re.compile(
    r"(://[^\s/:@]*:)[^\s/@]+@|((?:token|password|secret|key)=)[^\s&]+", re.IGNORECASE
)
_MOST = 4000  # characters of one value


def configure(style: Literal["json", "text"], stream: TextIO) -> None:
    """Write records to `stream` from now on; libraries are heard from warnings on."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Formatter(style))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    _LOGGER.setLevel(logging.INFO)


def log(action: str, /, **facts: object) -> None:
    """Record that something was done, with plain facts; an exception is a fact too."""
    _LOGGER.info(action, extra={"facts": facts})


def redacted(text: str) -> str:
    """Return a text without people's addresses, tokens and passwords."""
    shown = _TOKEN.sub(r"\1…", text)
    shown = _SECRET.sub(lambda found: f"{found[1] or found[2]}…" + ("@" if found[1] else ""), shown)
    return _ADDRESS.sub(r"\1…@\2", shown)


class _Formatter(logging.Formatter):
    """One line for each record, whatever is in it."""

    def __init__(self, style: Literal["json", "text"]) -> None:
        super().__init__()
        self._json = style == "json"

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one JSON object, or as words for people."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        own = record.name == _LOGGER.name
        action = record.getMessage() if own else f"library.{record.name}"
        facts: dict[str, Any] = dict(getattr(record, "facts", {}))
        if not own:
            facts["message"] = record.getMessage()
        if record.exc_info:
            facts["error"] = self.formatException(record.exc_info)
        shown = {name: _plain(value) for name, value in facts.items()}
        if self._json:
            whole = {"at": at, "level": record.levelname.lower(), "action": action, **shown}
            return json.dumps(whole, ensure_ascii=False)
        words = " ".join(
            f"{name}={json.dumps(one, ensure_ascii=False)}" for name, one in shown.items()
        )
        return f"{at} {record.levelname:7} {action} {words}".rstrip()


def _plain(value: object) -> object:
    if isinstance(value, bool | int | float | None):
        return value
    if isinstance(value, BaseException):
        value = f"{type(value).__name__}: {value}"
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    return redacted(str(value)[:_MOST])
