"""Drawings that fit any width: lengths across are percentages, so that words keep their size.

No drawing has a style of its own: classes are coloured by the page's sheet, in light and dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from newsletter_bot.reports.words import shortened

_NARROW, _WIDE = 36, 62  # columns of label and value together: on a phone, on a page
_ROW, _BAR = 48, 14
_ABOVE = 30  # of columns, for words
_TALL = 150
_BELOW = 24


@dataclass(frozen=True, slots=True)
class Bar:
    """A labelled bar of coloured parts; the widest of a drawing's is as wide as it is."""

    label: str
    value: str
    parts: Sequence[tuple[str, float]]  # class and size


@dataclass(frozen=True, slots=True)
class Column:
    """A column, up or down; without a number its place stays empty."""

    label: str
    up: float | None
    down: float = 0.0
    words: str = ""  # shown where somebody points at it


@dataclass(frozen=True, slots=True)
class Mark:
    """A line that is drawn across, and what it says."""

    at: float
    words: str
    kind: str = "mark"


def drawing(name: str, title: str, told: str, height: float, parts: Iterable[Markup]) -> Markup:
    """Put shapes into a picture that says in words what it shows."""
    head = Markup(
        '<svg class="plot" role="img" width="100%" height="{height}"'
        ' aria-labelledby="{name}-title {name}-told">'
        '<title id="{name}-title">{title}</title><desc id="{name}-told">{told}</desc>'
    ).format(name=name, title=title, told=told, height=round(height))
    return head + Markup("").join(parts) + Markup("</svg>")


def rect(kind: str, x: tuple[float, float], y: tuple[float, float], words: str = "") -> Markup:
    """Draw a rectangle: where it begins and how long it is, across in percent, and down."""
    title = Markup("<title>{}</title>").format(words) if words else ""
    shape = Markup('<rect class="{}" x="{}%" width="{}%" y="{}" height="{}">{}</rect>')
    return shape.format(kind, *map(_short, (*x, *y)), title)


def line(kind: str, x: tuple[float, float], y: tuple[float, float]) -> Markup:
    """Draw a line; `x` in percent."""
    shape = Markup('<line class="{}" x1="{}%" x2="{}%" y1="{}" y2="{}"/>')
    return shape.format(kind, _short(x[0]), _short(x[1]), _short(y[0]), _short(y[1]))


def words(text: str, x: float, y: float, kind: str = "", anchor: str = "start") -> Markup:
    """Write words; `x` in percent."""
    shape = Markup(
        '<text class="{}" paint-order="stroke" x="{}%" y="{}" text-anchor="{}">{}</text>'
    )
    return shape.format(kind or "word", _short(x), _short(y), anchor, escape(text))


def bars(bars_: Sequence[Bar]) -> tuple[float, list[Markup]]:
    """Draw bars below one another, each under its label; returns the height, too."""
    widest = max((sum(size for _, size in one.parts) for one in bars_), default=0) or 1
    drawn: list[Markup] = []
    for place, one in enumerate(bars_):
        top = place * _ROW
        drawn += _label(one.label, one.value, top + 15)
        drawn.append(rect("track", (0, 100), (top + 22, _BAR)))
        drawn += _parts(one.parts, widest, top + 22, _BAR)
    return len(bars_) * _ROW - 6, drawn


def _label(text: str, value: str, y: float) -> list[Markup]:
    said = words(value, 100, y, "value", "end")
    short, long = (shortened(text, room - len(value)) for room in (_NARROW, _WIDE))
    if short == long:
        return [words(text, 0, y, "label"), said]
    return [words(short, 0, y, "label narrow"), words(long, 0, y, "label wide"), said]


def _parts(
    parts: Iterable[tuple[str, float]], widest: float, y: float, height: float
) -> list[Markup]:
    drawn, x = [], 0.0
    for kind, size in parts:
        width = 100 * size / widest
        if size:
            drawn.append(rect(f"part {kind}", (x, width), (y, height)))
        x += width
    return drawn


def columns(
    columns_: Sequence[Column], marks: Sequence[Mark] = (), levels: Sequence[Mark] = ()
) -> tuple[float, list[Markup]]:
    """Draw columns beside one another.

    `marks` stand upright at places counted in columns; `levels` lie at values, and those above the
    highest column are left out.
    """
    up = max((one.up or 0 for one in columns_), default=0)
    down = max((one.down for one in columns_), default=0)
    scale = _TALL / ((up + down) or 1)
    zero = _ABOVE + up * scale
    each = 100 / max(1, len(columns_))
    drawn = []
    for place, one in enumerate(columns_):
        x, width = (place + 0.1) * each, 0.8 * each
        if one.up is None:
            drawn.append(words("·", x + width / 2, zero - 4, "tick", "middle"))
            continue
        high, low = one.up * scale, one.down * scale
        drawn.append(rect("column c1", (x, width), (zero - high, high), one.words))
        if one.down:
            drawn.append(rect("column c2", (x, width), (zero, low), one.words))
    bottom = zero + down * scale
    drawn.append(line("axis", (0, 100), (zero, zero)))
    drawn += _ends(columns_, bottom + 17)
    drawn += _marks(marks, each, bottom)
    for level in levels:
        y = zero - level.at * scale
        if level.at <= up:
            drawn.append(line(level.kind, (0, 100), (y, y)))
            drawn.append(words(level.words, 100, y - 4, "tick", "end"))
    return bottom + _BELOW, drawn


def _ends(columns_: Sequence[Column], y: float) -> list[Markup]:
    if not columns_:
        return []
    first = words(columns_[0].label, 0, y, "tick")
    if len(columns_) == 1:
        return [first]
    return [first, words(columns_[-1].label, 100, y, "tick", "end")]


def _marks(marks: Sequence[Mark], each: float, bottom: float) -> list[Markup]:
    """Draw upright lines with their words above, each on a line of its own where they are near."""
    drawn: list[Markup] = []
    for place, one in enumerate(marks):
        x = min(100.0, one.at * each)
        y = 12.0 + 14 * (place % 2)
        drawn.append(line(one.kind, (x, x), (y + 4, bottom)))
        drawn.append(words(one.words, x, y, "tick", _anchor(x)))
    return drawn


def scale(value: float, marks: Sequence[Mark], most: float) -> tuple[float, list[Markup]]:
    """Draw one value on a ruler with lines that should not be crossed."""
    drawn = [rect("track", (0, 100), (24, 16)), rect("part c1", (0, 100 * value / most), (24, 16))]
    for one in marks:
        x = 100 * one.at / most
        drawn += [line(one.kind, (x, x), (18, 46)), words(one.words, x, 60, "tick", _anchor(x))]
    return 68, drawn


def intervals(rows: Sequence[tuple[str, str, float, float, float]]) -> tuple[float, list[Markup]]:
    """Draw values with the range that they may really have: label, words, low, value, high."""
    most = max((row[4] for row in rows), default=0) or 1
    drawn: list[Markup] = []
    for place, (label, said, low, value, high) in enumerate(rows):
        top = place * _ROW
        drawn += _label(label, said, top + 15)
        drawn.append(line("track-line", (0, 100), (top + 30, top + 30)))
        across = 100 * low / most, 100 * (high - low) / most
        drawn.append(rect("part c1 range", across, (top + 25, 10)))
        x = min(100 * value / most, 99.5)
        drawn.append(line("point", (x, x), (top + 21, top + 39)))
    return len(rows) * _ROW, drawn


def _anchor(x: float) -> str:
    return "start" if x < 25 else "end" if x > 75 else "middle"  # noqa: PLR2004 - quarters


def _short(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
