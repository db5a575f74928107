"""Whether the issue's public page answers before anybody is sent there."""

from __future__ import annotations

import httpx

_PATIENCE = 10.0  # seconds


def why_silent(url: str) -> str:
    """Say why a page is not there, or nothing when it is."""
    try:
        with (
            httpx.Client(timeout=_PATIENCE, follow_redirects=True) as client,
            client.stream("GET", url) as response,
        ):
            return "" if response.is_success else f"answers {response.status_code}"
    except (httpx.HTTPError, httpx.InvalidURL, OSError):
        return "does not answer"
