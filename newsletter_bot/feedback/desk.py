"""The duty `feedback`: what was taken in is read, tied to deliveries, and acted on."""

from __future__ import annotations


class Feedback:
    """Reads what `Intake` kept."""

    def work(self) -> int:
        """Read all that is new; returns how many requests and mails that were."""
        return 0
