"""From what is raised to what is answered: every error we know becomes a problem."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.requests import Request
from fastapi.responses import Response
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from newsletter_bot.errors import DataError, NewsletterError, TryAgainError, UsageError
from newsletter_bot.logs import log
from newsletter_bot.subscribers.address import AddressError
from newsletter_bot.subscribers.consent import LimitError, UnknownPersonError
from newsletter_bot.web.api.idempotency_store import OtherRequestError, UnderWayError
from newsletter_bot.web.api.problems import Kind, Problem, field_error, invalid, not_found

_BUSY = 5  # seconds after which a busy database may have time
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_OF_STATUS = {
    400: (Kind.MALFORMED, "The body cannot be read."),
    404: (Kind.NOT_FOUND, "There is nothing at this address."),
    405: (Kind.METHOD, "See `Allow` for what can be done here."),
}
# A database that does not answer is weather: nothing was changed, and it may be asked again.
WEATHER = (TryAgainError, OperationalError, PoolTimeoutError)
_KNOWN = (
    Problem,
    RequestValidationError,
    HTTPException,
    NewsletterError,
    AddressError,
    OtherRequestError,
    UnderWayError,
    *WEATHER,
)


def add_failures(app: FastAPI) -> None:
    """Answer problems. What nobody foresaw is logged, and answered 500 without a word of it."""
    for kind in _KNOWN:
        app.add_exception_handler(kind, _answer)


def _answer(request: Request, error: Exception) -> Response:
    response = problem_of(error).response()
    if response.status_code == Kind.METHOD.status:
        # The framework names the methods of one route; others may have the same address.
        response.headers["Allow"] = ", ".join(_allowed(request))
    return response


def _allowed(request: Request) -> list[str]:
    routes = request.app.routes

    def allows(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in routes)

    return [one for one in _METHODS if allows(one)]


def problem_of(error: Exception) -> Problem:
    """Return what to say about an error we know; raises it again when we do not."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return _validation(error.errors())
        case HTTPException(status_code=status) if status in _OF_STATUS:
            return Problem(*_OF_STATUS[status], headers=error.headers)
        case AddressError():
            return invalid(f"That is no address: {error}.", "/address")
        case OtherRequestError():
            return Problem(Kind.REUSED, "Take a new Idempotency-Key for a new request.")
        case UnderWayError():
            detail = "A request with this Idempotency-Key is being answered; ask again for its end."
            return Problem(Kind.UNDER_WAY, detail, headers={"Retry-After": "1"})
        case NewsletterError():
            return _ours(error)
        case OperationalError() | PoolTimeoutError():
            return _unavailable(error)
    raise error


def _ours(error: NewsletterError) -> Problem:
    match error:
        case LimitError(retry_after=wait):
            return Problem(Kind.LIMITED, error.message, headers={"Retry-After": str(wait)})
        case UnknownPersonError():
            return not_found("subscriber")
        case DataError() | UsageError():
            return Problem(Kind.INVALID, error.message)
        case TryAgainError():
            return _unavailable(error)
    raise error


def _unavailable(error: Exception) -> Problem:
    log("api.unavailable", error=error)
    headers = {"Retry-After": str(_BUSY)}
    return Problem(Kind.UNAVAILABLE, "The database takes nothing now; ask again.", headers=headers)


def _validation(errors: Any) -> Problem:
    if any(one["type"] == "json_invalid" for one in errors):
        return Problem(Kind.MALFORMED, "The body is no JSON text (RFC 8259).")
    return Problem(Kind.INVALID, "See `errors`.", [field_error(one) for one in errors])
