"""Issue → Rendering: every stage once per issue, none of them with a network."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from newsletter_bot.issues.model import Issue, Slot
from newsletter_bot.rendering import inline, links, mjml
from newsletter_bot.rendering.cut import Cutter
from newsletter_bot.rendering.model import Pieces, Rendering
from newsletter_bot.rendering.text import to_text
from newsletter_bot.rendering.theme import Theme, direction
from newsletter_bot.rendering.tracking import Detail, Tracking
from newsletter_bot.rendering.view import MailView
from newsletter_bot.settings import Settings


def render(issue: Issue, settings: Settings) -> Rendering:
    """Compile an issue; the same issue and settings give the same rendering.

    Raises ConfigurationError for a theme that cannot be used.
    """
    theme = Theme.of(settings)
    view = look_at(issue, settings, theme)
    source = to_mjml(view, theme)
    html = to_inlined(mjml.to_html(source, theme.name), view, theme)
    text = to_text(view)
    html, slots, tracking = followed(html, view)
    cutter = Cutter((*issue.slots, *view.slots, *slots), issue.only_blocks)
    cutter.check_all_survived(source, html)
    return Rendering(
        issue=issue.identity,
        subjects=tuple(cutter.plain(subject) for subject in issue.subjects),
        html=to_pieces(html, cutter),
        text=cutter.plain(text),
        language=issue.language,
        tracking=tracking,
    )


def followed(html: str, view: MailView) -> tuple[str, Sequence[Slot], Tracking]:
    """Mark the links that are counted; by default nothing is, and the HTML stays as it is."""
    table = view.settings.tracking
    clicks, opens = Detail(table.clicks), Detail(table.opens)
    if clicks is Detail.OFF:
        return html, (), Tracking(opens=opens)
    found = links.marked(html, view)
    return found.html, found.slots, Tracking(clicks, opens, found.links)


def look_at(issue: Issue, settings: Settings, theme: Theme) -> MailView:
    """Make what the theme sees; its markers do not occur in the issue."""
    infix = hashlib.sha256(f"theme {issue.source}".encode()).hexdigest()[:4]
    return MailView(issue, settings, theme.words(issue.language), infix)


def to_mjml(view: MailView, theme: Theme) -> str:
    """Fill the theme's `issue.mjml.j2`."""
    return theme.render("issue.mjml.j2", _values(view))


def to_inlined(html: str, view: MailView, theme: Theme) -> str:
    """Write the rules of the theme's `inline.css.j2` into the elements they are for."""
    return inline.inlined(html, theme.render("inline.css.j2", _values(view)))


def to_pieces(html: str, cutter: Cutter) -> Pieces:
    """Cut the finished HTML at its holes."""
    return cutter.html(html)


def _values(view: MailView) -> dict[str, object]:
    way = direction(view.issue.language)
    return {
        "mail": view,
        "issue": view.issue,
        "newsletter": view.settings.newsletter,
        "language": view.issue.language,
        "direction": way,
        "start": "right" if way == "rtl" else "left",
        "end": "left" if way == "rtl" else "right",
    }
