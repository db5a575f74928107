"""On which line a link or picture stands: the parser itself knows only a paragraph's first line."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from markdown_it import MarkdownIt
from markdown_it.rules_inline.state_inline import StateInline
from markdown_it.token import Token

_Rule = Callable[[StateInline, bool], bool]
_RULES = (
    *("newline", "backticks", "link", "image", "autolink", "html_inline"),
    *("footnote_inline", "footnote_ref"),
)
_BEGIN, _END = "lines_down", "lines_down_after"


def keep_places(parser: MarkdownIt) -> None:
    """Let the parser note how many lines below its paragraph's first a token begins and ends."""
    ruler = parser.inline.ruler
    rules = {rule.name: rule.fn for rule in ruler.__rules__}
    for name in _RULES:
        ruler.at(name, _noting(rules[name]))


def lines_down(token: Token, before: int) -> int:
    """Return how far down a token begins; `before` is where the one before it ended."""
    return int(token.meta.get(_BEGIN, before))


def lines_down_after(token: Token, before: int) -> int:
    """Return how far down a token ends."""
    return int(token.meta.get(_END, before))


def _noting(rule: _Rule) -> _Rule:
    def noted(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - the parser's own
        first, begin = len(state.tokens), state.pos
        found = rule(state, silent)
        made = [one for one in state.tokens[first:] if one.type != "text"]
        if found and not silent and made:
            made[0].meta[_BEGIN] = _newlines_before(state, begin)
            made[-1].meta[_END] = _newlines_before(state, state.pos)
        return found

    return noted


def _newlines_before(state: StateInline, position: int) -> int:
    # Counting anew for each token would take the square of a paragraph's length.
    known = state.env.get("newlines")
    if known is None or known[0] is not state.src:
        found = [at for at, one in enumerate(state.src) if one == "\n"]
        known = state.env["newlines"] = (state.src, found)
    return bisect_left(known[1], position)
