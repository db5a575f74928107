"""What each stage of compiling an issue costs, once per issue."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

from newsletter_bot.bot import Bot
from newsletter_bot.rendering import inline, mjml
from newsletter_bot.rendering.cut import Cutter
from newsletter_bot.rendering.render import look_at, to_mjml, to_pieces
from newsletter_bot.rendering.text import to_text
from newsletter_bot.rendering.theme import Theme
from tests.bench.table import say

_REPEATS = 20


def milliseconds(work: Callable[[], object]) -> float:
    """Time a stage: the median of some runs after one that warms up."""
    work()
    times = []
    for _ in range(_REPEATS):
        begun = time.perf_counter()
        work()
        times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times)


def compile_times(bot: Bot, path: Path) -> None:
    """Print what each stage of compiling the sample issue costs."""
    issue = bot.read(path)
    theme = Theme.of(bot.settings)
    view = look_at(issue, bot.settings, theme)
    source = to_mjml(view, theme)
    html = mjml.to_html(source, theme.name)
    css = theme.render(
        "inline.css.j2", {"language": "en", "start": "left", "end": "right", "direction": "ltr"}
    )
    finished = inline.inlined(html, css)
    cutter = Cutter((*issue.slots, *view.slots), issue.only_blocks)
    say(f"\nCompiling {path.name} ({len(issue.items)} items), once per issue")
    for name, work in (
        ("read: front matter, Markdown, structure", lambda: bot.read(path)),
        ("theme: Jinja2 → MJML", lambda: to_mjml(look_at(issue, bot.settings, theme), theme)),
        ("mrml: MJML → HTML, with validation", lambda: mjml.to_html(source, theme.name)),
        ("premailer: styles inlined", lambda: inline.inlined(html, css)),
        ("plain text", lambda: to_text(view)),
        ("cut at slots", lambda: to_pieces(finished, cutter)),
        ("all of it, from file to rendering", lambda: bot.render(bot.read(path))),
    ):
        say(f"  {name:<42} {milliseconds(work):8.1f} ms")
