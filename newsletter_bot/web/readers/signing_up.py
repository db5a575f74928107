"""The sign-up form, for readers and for frames; its answer never tells who is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, RedirectResponse, Response

from newsletter_bot.bot import Bot
from newsletter_bot.errors import DataError
from newsletter_bot.logs import log
from newsletter_bot.settings.tables import seconds
from newsletter_bot.subscribers.address import AddressError
from newsletter_bot.subscribers.consent import ClosedError, Evidence, LimitError, SignupRequest
from newsletter_bot.web.readers.form_times import Age, FormTimes
from newsletter_bot.web.readers.forms import Problems, SignupDraft, public_lists
from newsletter_bot.web.readers.pages import Answers, Guard, Notice
from newsletter_bot.web.readers.proof_of_work import Proof, Proofs
from newsletter_bot.web.readers.spent_store import spend
from newsletter_bot.web.readers.widget import add_widget, folder_name, read_widget
from newsletter_bot.web.serving.bodies import Form, form_of
from newsletter_bot.web.serving.visitors import Visitor

_TRAP = "homepage"  # a field that people do not see
_WRONG = 422  # a form with a mistake in it (RFC 9110 section 15.5.21)


def add_signing_up(app: FastAPI, signing_up: SigningUp) -> None:
    """Answer `/subscribe` and what is below it."""
    add_widget(app, signing_up.widget)

    @app.api_route("/subscribe", methods=["GET", "HEAD"])
    def show(request: Request) -> Response:
        return signing_up.show(signing_up.visitor(request))

    @app.post("/subscribe")
    async def ask(request: Request) -> Response:
        form = await form_of(request)
        return await run_in_threadpool(signing_up.ask, form, signing_up.visitor(request))

    @app.api_route("/subscribe/sent", methods=["GET", "HEAD"])
    def sent(request: Request) -> Response:
        return signing_up.sent(signing_up.visitor(request))

    @app.api_route("/subscribe/embed", methods=["GET", "HEAD"])
    def embed(request: Request) -> Response:
        return signing_up.embed(signing_up.visitor(request))

    @app.api_route("/subscribe/challenge", methods=["GET", "HEAD"])
    def challenge() -> Response:
        return signing_up.challenge()


@dataclass(frozen=True, slots=True)
class _Shown:
    """How the form is shown: as it is at first, or again with what is wrong."""

    draft: SignupDraft
    token: str
    problems: Problems
    message: str = ""
    status: int = 200
    retry_after: int = 0
    embedded: bool = False


class SigningUp:
    """The form, and what happens to what is sent with it."""

    def __init__(self, bot: Bot, answers: Answers, ring: Callable[[str], None]) -> None:
        self._bot = bot
        self._answers = answers
        self._ring = ring
        self._settings = bot.settings
        self._signup = bot.settings.signup
        self._proofs = Proofs(bot.secret) if self._signup.proof_of_work == "on" else None
        self._times = FormTimes(bot.signer, seconds(self._signup.fill_time))
        self.widget: Mapping[str, bytes] = read_widget(bot.settings.folder)
        self._assets = f"assets/{folder_name(self.widget)}"

    def visitor(self, request: Request) -> Visitor:
        """Return who asks."""
        return Visitor.of(request, self._settings.newsletter.language)

    def show(self, visitor: Visitor) -> Response:
        """Show the empty form."""
        return self._first(visitor, embedded=False)

    def embed(self, visitor: Visitor) -> Response:
        """Show it to the frames of those sites that may have it; else there is no such page."""
        if not self._signup.embed:
            raise HTTPException(404)
        return self._first(visitor, embedded=True)

    def sent(self, visitor: Visitor) -> Response:
        """Say what comes next, to everybody the same."""
        say = self._answers.say
        texts = ("check_mail_text", "check_mail_spam")
        notice = Notice(
            say(visitor.language, "check_mail"),
            tuple(say(visitor.language, one) for one in texts),
            links=((self._answers.link("subscribe"), say(visitor.language, "subscribe_again")),),
        )
        return self._answers.kept(visitor.language, notice)

    def challenge(self) -> Response:
        """Give a browser work to do."""
        if self._proofs is None:
            raise HTTPException(404)
        return JSONResponse(self._proofs.challenge(), headers={"Cache-Control": "no-store"})

    def ask(self, form: Form, visitor: Visitor) -> Response:
        """Take a request; what is wrong with it is told, whether the address is known never."""
        if not self._is_open:
            return self._closed(visitor)
        if form.one(_TRAP):
            log("web.signup", trapped=True)
            return _sent()
        draft = SignupDraft.of(form, self._settings, visitor.language)
        token = form.one("form")
        again = _Shown(
            draft, self._times.token(token), draft.problems(self._settings), status=_WRONG
        )
        if again.problems:
            return self._form(visitor, again)
        age = self._times.age(token)
        if age is Age.WRONG:
            return self._form(visitor, replace(again, message="send_again"))
        ours = age is Age.GOOD
        proof = self._proofs.read(form.one("proof")) if ours and self._proofs else None
        evidence = self._evidence(form, visitor, ours=ours)
        return self._asked(self._request(draft, evidence), proof, visitor, again)

    def _asked(
        self, request: SignupRequest, proof: Proof | None, visitor: Visitor, again: _Shown
    ) -> Response:
        try:
            self._take(request, proof)
        except LimitError as error:
            wait = error.retry_after
            tired = replace(again, message="too_many", status=429, retry_after=wait)
            return self._form(visitor, tired)
        except ClosedError:
            return self._closed(visitor)
        except (AddressError, DataError):
            return self._form(visitor, replace(again, problems={"address": "wrong_address"}))
        log("web.signup", proved=request.proved or proof is not None)
        self._ring("people")
        return _sent()

    def _take(self, request: SignupRequest, proof: Proof | None) -> None:
        people = self._bot.people
        if proof is None:
            people.ask(request)
            return
        # One transaction: a proof is spent with the request that it was shown for.
        self._bot.writer.run(
            lambda connection: people.ask(
                replace(request, proved=spend(connection, proof.key, proof.expires_at))
            )
        )

    def _request(self, draft: SignupDraft, evidence: Evidence) -> SignupRequest:
        proved = self._proofs is None  # nobody was asked for one
        who = (draft.address, draft.lists, draft.name, draft.language)
        return SignupRequest(*who, evidence, proved=proved)

    def _evidence(self, form: Form, visitor: Visitor, *, ours: bool) -> Evidence:
        """Return what was agreed to, and where; in somebody's own form stand other words."""
        page = "subscribe/embed" if form.one("embedded") else "subscribe"
        return Evidence(
            page=self._answers.link(page) if ours else visitor.referer,
            wording=self._wording(visitor.language) if ours else "",
            version=self._signup.version,
            prefix=visitor.prefix,
        )

    def _wording(self, language: str) -> str:
        """Return what is agreed to by pressing the button; that includes being counted, by name."""
        table = self._settings.tracking
        counted = {"consent_clicks": table.clicks, "consent_opens": table.opens}
        names = ["consent", *(name for name, how in counted.items() if how == "individual")]
        said = [self._answers.say(language, name) for name in names]
        return ("" if said[0].endswith("。") else " ").join(said)

    # ── pages ────────────────────────────────────────────────────────────────────────────────

    @property
    def _is_open(self) -> bool:
        return self._signup.open and bool(public_lists(self._settings))

    def _closed(self, visitor: Visitor) -> Response:
        say = self._answers.say
        notice = Notice(
            say(visitor.language, "closed"),
            (say(visitor.language, "closed_text"),),
            links=((self._answers.link(""), say(visitor.language, "all_issues")),),
            status=503,
        )
        wait = {"Retry-After": str(seconds(self._signup.pause_for))} if self._signup.open else {}
        return self._answers.notice(visitor.language, notice, wait)

    def _first(self, visitor: Visitor, *, embedded: bool) -> Response:
        if not self._is_open:
            return self._closed(visitor)
        draft = SignupDraft.empty(self._settings, visitor.language)
        return self._form(visitor, _Shown(draft, self._times.token(), {}, embedded=embedded))

    def _form(self, visitor: Visitor, shown: _Shown) -> Response:
        language = visitor.language
        say, minutes = self._answers.say, math.ceil(shown.retry_after / 60)
        problems = {field: say(language, word) for field, word in shown.problems.items()}
        return self._answers.page(
            "subscribe.html.j2",
            language,
            status=shown.status,
            guard=self._guard(shown),
            headers={"Retry-After": str(shown.retry_after)} if shown.retry_after else {},
            draft=shown.draft,
            problems=problems,
            message=say(language, shown.message, minutes=minutes) if shown.message else "",
            token=shown.token,
            consent=self._wording(language),
            embedded=shown.embedded,
            **self._places(shown),
            **self._offers(),
        )

    def _guard(self, shown: _Shown) -> Guard:
        frames = self._signup.embed if shown.embedded else ()
        scripts = self._proofs is not None
        indexed = shown.status == 200 and not shown.embedded  # noqa: PLR2004 - as everywhere
        return Guard(scripts, frames, referrer="same-origin", indexed=indexed)

    def _places(self, shown: _Shown) -> dict[str, Any]:
        """Return addresses that lead on from the page, whatever path a proxy puts before it."""
        action, below = ("../subscribe", "") if shown.embedded else ("subscribe", "subscribe/")
        proof = {"assets": f"{below}{self._assets}", "challenge": f"{below}challenge"}
        return {"action": action, "proof": proof if self._proofs else None}

    def _offers(self) -> dict[str, Any]:
        return {
            "lists": public_lists(self._settings),
            "languages": self._answers.languages(),
            "privacy_url": self._signup.privacy_url,
        }


def _sent() -> Response:
    # To a page of its own: reading it again does not send the form again.
    return RedirectResponse("subscribe/sent", 303, {"Cache-Control": "no-store"})
