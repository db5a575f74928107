"""A channel by itself, for tests that look at what it sends."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from newsletter_bot.crosspost.channels import Channel
from newsletter_bot.crosspost.model import Details, Post
from newsletter_bot.crosspost.options import Means

NOON = 1_800_000_000


@dataclass
class MemoryTokens:
    """Tokens that are kept as long as the test."""

    tokens: dict[str, Any] = field(default_factory=dict)

    def read(self) -> dict[str, Any]:
        return dict(self.tokens)

    def write(self, tokens: dict[str, Any]) -> None:
        self.tokens = dict(tokens)

    def alone(self) -> AbstractContextManager[bool]:
        return nullcontext(True)


def opened(
    kind: Any, options: dict[str, Any], folder: Path = Path(), tokens: Any = None
) -> Channel:
    name = kind.__name__.rpartition(".")[2]
    means = Means(name, folder, lambda: float(NOON), tokens or MemoryTokens())
    channel: Channel = kind.open_channel(kind.Options.model_validate(options), means)
    return channel


def post(text: str = "Hello", **more: Any) -> Post:
    given: dict[str, Any] = {
        "issue": "2026-W01",
        "item": "",
        "part": 0,
        "url": "",
        "key": "0123456789abcdef" * 2,
        "made_at": NOON,
        "details": Details(title="Week 1", newsletter="Weekly ML News", tags=("ml", "nets")),
        **more,
    }
    return Post(text=text, **given)
