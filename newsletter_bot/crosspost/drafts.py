"""What an issue says on a channel: one post, one for each item, or a thread, each fitted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from newsletter_bot.crosspost import fit, words
from newsletter_bot.crosspost.channels import Channel, ChannelKind
from newsletter_bot.crosspost.model import Details, Draft
from newsletter_bot.crosspost.options import ChannelTable
from newsletter_bot.crosspost.story import story_html
from newsletter_bot.crosspost.templates import PostTemplates
from newsletter_bot.issues.model import Issue, Item
from newsletter_bot.rendering.addresses import with_utm
from newsletter_bot.rendering.public import public
from newsletter_bot.settings import Settings
from newsletter_bot.settings.tables import TrackingTable


@dataclass(frozen=True, slots=True)
class Desired:
    """A channel as newsletter.toml asks for it."""

    name: str
    kind: ChannelKind
    options: ChannelTable
    channel: Channel


@dataclass(frozen=True, slots=True)
class Drafter:
    """Writes the posts of one issue."""

    issue: Issue
    page_url: str
    settings: Settings
    templates: PostTemplates

    @classmethod
    def of(cls, issue: Issue, page_url: str, settings: Settings) -> Drafter:
        """Take the issue as a stranger may read it."""
        return cls(public(issue), page_url, settings, PostTemplates(settings.folder))

    def drafts(self, desired: Desired) -> Iterator[Draft]:
        """Return the posts for a channel, in the order in which they are posted."""
        if desired.kind.story:
            yield self._story(desired)
            return
        if desired.options.posts != "items":
            yield self._post(desired, None, 0)
        if desired.options.posts != "issue":
            threaded = desired.options.posts == "thread"
            for number, item in enumerate(self.issue.items, int(threaded)):
                yield self._post(desired, item, number if threaded else 0, first=number == 0)

    def _story(self, desired: Desired) -> Draft:
        details = self._details(None)
        return Draft(
            channel=desired.name,
            item="",
            part=0,
            text=story_html(self.issue, self.page_url, self.settings),
            weight=desired.channel.weigh(details.title),
            limit=desired.channel.limit,
            url=self.page_url,
            cost_usd=0.0,
            details=details,
        )

    def _post(
        self, desired: Desired, item: Item | None, part: int, *, first: bool | None = None
    ) -> Draft:
        channel, options = desired.channel, desired.options
        leading = part == 0 if first is None else first
        linked = options.link == "all" or (options.link == "first" and leading)
        url = self._url(item, options) if linked else ""
        in_text = "" if desired.kind.card and getattr(options, "card", False) else url
        summary = self.issue.title if item is None else words.one_line(item)
        problem = ""
        try:
            text, weight = fit.fit(
                lambda short: self._written(desired.name, item, short, in_text),
                " ".join(summary.split()),
                channel.weigh,
                channel.limit,
            )
        except fit.NoRoomError as error:
            text, weight, problem = "", 0, str(error)
        return Draft(
            channel=desired.name,
            item=item.anchor if item else "",
            part=part,
            text=text,
            weight=weight,
            limit=channel.limit,
            url=url,
            cost_usd=channel.cost(text) if text else 0.0,
            details=self._details(item),
            problem=problem,
        )

    def _written(self, channel: str, item: Item | None, summary: str, link: str) -> str:
        issue = self.issue
        values = {
            "summary": summary,
            "link": link,
            "title": issue.title if item is None else item.title,
            "section": "" if item is None else self._section(item),
            "tags": list(issue.tags if item is None else item.tags or issue.tags),
            "pick": item is not None and item.pick,
            "whole": item is None,
            "issue": issue.identity,
            "issue_title": issue.title,
            "preheader": issue.preheader,
            "page": self.page_url,
            "newsletter": self.settings.newsletter.name,
        }
        return self.templates.render(channel, values)

    def _url(self, item: Item | None, options: ChannelTable) -> str:
        if item is None:
            return self.page_url
        if not item.url or not item.url.startswith(("https://", "http://")):
            return f"{self.page_url}#{item.anchor}"
        tracking = TrackingTable(utm=options.utm)
        tagged = self.settings.model_copy(update={"tracking": tracking})
        return with_utm(item.url, tagged, self.issue.identity)

    def _section(self, item: Item) -> str:
        return next((one.title for one in self.issue.sections if item in one.items), "")

    def _details(self, item: Item | None) -> Details:
        issue = self.issue
        return Details(
            title=issue.title if item is None else item.title,
            description=issue.preheader if item is None else words.one_line(item),
            newsletter=self.settings.newsletter.name,
            language=issue.language,
            tags=issue.tags if item is None else item.tags or issue.tags,
        )
