"""OAuth 2 with PKCE (RFC 6749, RFC 7636): tokens that are renewed, each usable once."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from newsletter_bot.crosspost.calls import Answer, ChannelDownError, PutOffError, Service
from newsletter_bot.crosspost.options import Tokens
from newsletter_bot.errors import DataError

_SCOPES = "tweet.read tweet.write users.read offline.access"
_EARLY = 120  # seconds before its end at which a token is renewed
_USUAL = 7200  # seconds that a token lasts when X does not say
_CONNECT = "Run `newsletter-bot channels connect x`."


@dataclass(frozen=True, slots=True)
class Request:
    """What the operator opens in a browser, and what must come back with the answer."""

    url: str
    state: str
    verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Connection:
    """The right of an app to use an account."""

    service: Service
    tokens: Tokens
    clock: Callable[[], float]
    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str
    authorize_url: str
    token_url: str

    def begin(self) -> Request:
        """Return the page that asks the account's owner."""
        verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
        digest = hashlib.sha256(verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": _SCOPES,
            "state": state,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        return Request(f"{self.authorize_url}?{urlencode(query)}", state, verifier)

    def finish(self, request: Request, redirected: str) -> None:
        """Turn the address that the browser was sent to into tokens, and keep them.

        Raises DataError for an address that does not answer this request, and a ChannelError when
        X does not give tokens for it.
        """
        answer = parse_qs(urlsplit(redirected.strip()).query)
        again = "Run the command again, and paste the whole address of the page you end up on."
        state = answer.get("state", [""])[0]
        if not secrets.compare_digest(state.encode(), request.state.encode()):
            raise DataError("That address belongs to another attempt: its state differs.", again)
        if "code" not in answer:
            refusal = answer.get("error", ["it has no code"])[0]
            raise DataError(f"X did not grant access: {refusal[:100]}.", again)
        self._get(
            {
                "grant_type": "authorization_code",
                "code": answer["code"][0],
                "redirect_uri": self.redirect_uri,
                "code_verifier": request.verifier,
            }
        )

    def token(self, *, stale: bool = False) -> str:
        """Return an access token, renewed when it is about to end, or `stale` because refused."""
        kept = self._kept()
        if not stale and self._lasts(kept):
            return str(kept["access_token"])
        with self.tokens.alone() as held:
            if not held:
                raise PutOffError("Another process is renewing the token for X.", 5.0)
            now = self._kept()
            # Somebody may have renewed it while we waited: a refresh token works once.
            if now != kept and self._lasts(now):
                return str(now["access_token"])
            return self._get(
                {"grant_type": "refresh_token", "refresh_token": str(now["refresh_token"])}
            )

    def _kept(self) -> dict[str, Any]:
        kept = self.tokens.read()
        if "access_token" not in kept or "refresh_token" not in kept:
            raise ChannelDownError("X is not connected yet.", _CONNECT)
        return kept

    def _lasts(self, kept: dict[str, Any]) -> bool:
        return bool(self.clock() + _EARLY < float(kept.get("until", 0)))

    def _get(self, form: dict[str, str]) -> str:
        headers = {}
        if self.client_secret:
            pair = f"{self.client_id}:{self.client_secret}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        form = {**form, "client_id": self.client_id}
        answer = self.service.ask("POST", self.token_url, data=form, headers=headers)
        if answer.status in (400, 401):
            said = answer.find("error_description") or answer.words
            raise ChannelDownError(f"X does not accept our tokens any more: {said}", _CONNECT)
        self.service.check(answer, _CONNECT)
        return self._keep(answer, form.get("refresh_token", ""))

    def _keep(self, answer: Answer, before: str) -> str:
        access = self.service.need(answer, "access_token")
        lasts = answer.find("expires_in")
        until = self.clock() + (float(lasts) if lasts.isdecimal() else _USUAL)
        refresh = answer.find("refresh_token") or before
        self.tokens.write({"access_token": access, "refresh_token": refresh, "until": until})
        return access
