"""The built archive, as files."""

from __future__ import annotations

from pathlib import Path

from starlette.staticfiles import StaticFiles


class Site(StaticFiles):
    """The built site, without files whose name begins with a dot."""

    async def check_config(self) -> None:
        """Let a site that has not been built yet be one without pages."""

    def lookup_path(self, path: str) -> tuple[str, object]:  # type: ignore[override]
        """Find a file inside the folder; starlette refuses ways out of it."""
        if any(part.startswith(".") and part not in {".", ""} for part in Path(path).parts):
            return "", None
        return super().lookup_path(path)
