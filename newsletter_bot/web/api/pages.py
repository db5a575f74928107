"""Pages of a listing: a limit, a cursor, and where to go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlencode

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from newsletter_bot.web.api.asked import Asked
from newsletter_bot.web.api.cursors import from_place

MOST = 500
_USUAL = 100
Row = TypeVar("Row")


class Paging(BaseModel):
    """How much of a listing is wanted, and from where; a parameter it does not know is an error."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=MOST, description="How many at most")] = _USUAL
    cursor: Annotated[
        str | None,
        Field(
            max_length=100,
            description="`next` of the page before, with the same filters; the limit may change",
        ),
    ] = None

    def filters(self) -> dict[str, Any]:
        """Return what is asked for beside the page."""
        return self.model_dump(mode="json", exclude={"limit", "cursor"}, exclude_none=True)


class Page(BaseModel, Generic[Row]):
    """A page of a listing."""

    data: list[Row]
    next: str | None = Field(description="The cursor of the next page; null on the last one")


@dataclass(frozen=True, slots=True)
class Listing:
    """One listing, with what is asked of it."""

    asked: Asked
    paging: Paging
    name: str  # with all that stands in its path

    def place(self) -> bytes:
        """Return the place behind which the page begins, empty at first; raises Problem."""
        if self.paging.cursor is None:
            return b""
        return self.asked.tools.cursors.read(self._identity(), self.paging.cursor)

    def after(self) -> int:
        """Return the same as an id, 0 at first."""
        return from_place(self.place())[0]

    def page(
        self, rows: Sequence[Row], place: Callable[[Row], bytes], response: Response
    ) -> tuple[list[Row], str | None]:
        """Cut a page out of one row more than it holds; tells in a header where to go on."""
        shown = list(rows[: self.paging.limit])
        if len(rows) <= self.paging.limit:
            return shown, None
        cursor = self.asked.tools.cursors.make(self._identity(), place(shown[-1]))
        asked: Mapping[str, Any] = self.paging.filters()
        query = urlencode({**asked, "limit": self.paging.limit, "cursor": cursor})
        response.headers["Link"] = f'<{self.asked.request.url.path}?{query}>; rel="next"'
        return shown, cursor

    def _identity(self) -> str:
        return f"{self.name}?{urlencode(sorted(self.paging.filters().items()))}"
