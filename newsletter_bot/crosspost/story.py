"""The whole issue as one article, for places that publish articles."""

from __future__ import annotations

from html import escape
from urllib.parse import unquote

from lxml import html as parser
from lxml.etree import tostring

from newsletter_bot.issues.model import Issue
from newsletter_bot.rendering.addresses import image_url
from newsletter_bot.rendering.web_page import Pages, web_article
from newsletter_bot.settings import Settings

_KEPT = frozenset({"href", "src", "alt", "start", "colspan", "rowspan"})


def story_html(issue: Issue, page_url: str, settings: Settings) -> str:
    """Return the article: its title, absolute addresses, and where it was published first.

    Medium's importer and its API keep headings, paragraphs, lists, quotes, code and pictures.
    """
    article = web_article(Pages(settings), issue)
    root = parser.fragment_fromstring(article.html, create_parent="div")
    for listed in root.xpath(".//nav"):  # links into the page, which lead nowhere elsewhere
        listed.drop_tree()
    for element in root.iter():
        if not isinstance(element.tag, str):
            continue
        for name in set(element.attrib) - _KEPT:
            del element.attrib[name]
        _make_absolute(element, issue, page_url, settings)
    for wrapper in root.xpath(".//section|.//aside|.//bdi|.//span"):
        wrapper.drop_tag()
    inside = escape(root.text or "", quote=False) + "".join(
        tostring(child, encoding="unicode", method="html") for child in root
    )
    name = escape(settings.newsletter.name)
    origin = f'<p><em>First published in <a href="{escape(page_url)}">{name}</a>.</em></p>'
    return f"<h1>{escape(article.issue.title)}</h1>\n{inside.strip()}\n{origin}\n"


def _make_absolute(
    element: parser.HtmlElement, issue: Issue, page_url: str, settings: Settings
) -> None:
    if (href := element.get("href", "")).startswith("#"):
        element.set("href", page_url + href)
    if source := element.get("src", ""):
        element.set("src", image_url(settings, issue.identity, unquote(source)))
