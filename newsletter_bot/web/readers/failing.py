"""Pages for what cannot be answered: in the site's look, without a word of our insides."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from newsletter_bot.errors import TryAgainError
from newsletter_bot.logs import log
from newsletter_bot.web.readers.languages import language_of
from newsletter_bot.web.readers.pages import Answers, Notice

_TIRED = frozenset({408, 429, 503})
_LOST = 404
_OURS = 500  # from here on it is our fault (RFC 9110 section 15.6)


def add_failing(app: FastAPI, answers: Answers) -> None:
    """Answer failures of the pages."""
    fallback = answers.settings.newsletter.language

    def fail(request: Request, status: int, headers: Mapping[str, str] | None = None) -> Response:
        return failure(answers, language_of(request) or fallback, status, headers)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        return fail(request, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def unreadable(request: Request, error: RequestValidationError) -> Response:
        del error  # it would tell what was sent
        return fail(request, 400)

    @app.exception_handler(TryAgainError)
    async def busy(request: Request, error: TryAgainError) -> Response:
        log("web.busy", error=error)
        return fail(request, 503, {"Retry-After": "60"})

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        log("web.failed", error=error)
        return fail(request, 500)


def failure(
    answers: Answers, language: str, status: int, headers: Mapping[str, str] | None = None
) -> Response:
    """Return the page for a status (RFC 9110 section 15) of 400 or more."""
    title = _title(status)
    front = (answers.link(""), answers.say(language, "all_issues"))
    links = (front,) if title == "not_found" else ()
    texts = (answers.say(language, f"{title}_text"),)
    notice = Notice(answers.say(language, title), texts, links=links, status=status)
    answer = answers.kept(language, notice)
    answer.headers.update(headers or {})
    return answer


def _title(status: int) -> str:
    if status == _LOST:
        return "not_found"
    if status in _TIRED:
        return "busy"
    return "failed" if status >= _OURS else "unreadable"
