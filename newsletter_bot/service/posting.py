"""When channels get their posts: once the archive page is live and the mail was accepted."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

import httpx

from newsletter_bot.bot import Bot
from newsletter_bot.delivery.model import IssueState
from newsletter_bot.errors import NewsletterError
from newsletter_bot.logs import log
from newsletter_bot.rendering.addresses import page_url
from newsletter_bot.subscribers.selection import USUAL

_RECENT = 7 * 86_400  # seconds after its plan that an issue is still news
_PATIENCE = 10.0  # seconds for the archive page to answer
_LIVE = {IssueState.SENDING, IssueState.SENT}


def answers(page: str) -> bool:
    """Tell whether a page of the archive is live."""
    try:
        answer = httpx.get(page, timeout=_PATIENCE, follow_redirects=True)
    except httpx.HTTPError:
        return False
    return answer.is_success


class Posting:
    """Looks for issues that channels have not seen; a channel's failure touches nothing else."""

    def __init__(
        self,
        bot: Bot,
        say: Callable[[str, str, str], object],
        clock: Callable[[], float],
        is_live: Callable[[str], bool] = answers,
    ) -> None:
        """`say` tells an operator something, as Alerts does: key, title, text."""
        self._bot = bot
        self._say = say
        self._clock = clock
        self._is_live = is_live
        self._planned: set[str] = set()
        self._stopping = Event()

    def stop(self) -> None:
        """End after the post that is under way."""
        self._stopping.set()

    def look(self) -> None:
        """Plan the posts of issues that went out to everybody, and post what is due."""
        if not self._bot.settings.channels:
            return
        for row in self._bot.mailroom.issues():
            recent = self._clock() - row.planned_at < _RECENT
            if row.state in _LIVE and recent and row.selection == USUAL:  # the others are not news
                self._plan(row.identity)
        for identity in self._bot.crossposts.due():
            self._post(identity)

    def _plan(self, identity: str) -> None:
        if identity in self._planned or self._bot.mailroom.status(identity).accepted == 0:
            return
        page = page_url(self._bot.settings, identity)
        if not self._is_live(page):
            log("crosspost.waiting", issue=identity, page=page)
            self._say(
                f"page:{identity}",
                f"{identity} is not posted yet",
                f"Its archive page {page} does not answer. It is posted as soon as it does.",
            )
            return
        try:
            issue = self._bot.read(self._bot.find(identity))
            count = self._bot.crossposts.plan(issue, page)
        except NewsletterError as error:
            log("crosspost.failed", issue=identity, reason=error.message)
            self._say(f"crosspost:{identity}", f"{identity} is not posted", error.message)
            return
        self._planned.add(identity)
        log("crosspost.planned", issue=identity, posts=count)

    def _post(self, identity: str) -> None:
        posted = self._bot.crossposts.post(identity, stop=self._stopping.is_set)
        log("crosspost.posted", issue=identity, posted=posted.posted)
        for one in posted.failures:
            log(
                "crosspost.failed",
                issue=identity,
                channel=one.channel,
                item=one.item,
                reason=one.reason,
            )
            self._say(
                f"channel:{one.channel}:{identity}",
                f"{one.channel} did not take {identity}",
                f"{one.reason} {one.next_step}",
            )
