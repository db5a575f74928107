"""When messages were accepted, from counts by second to spans that a plot can show."""

from __future__ import annotations

from collections.abc import Mapping

from newsletter_bot.reports.model import Timing

_FINEST = 4000  # spans that are counted: percentiles are that exact
_SHOWN = 48
_MOST = 0.98  # of the messages set how much is shown: a few wait for a server's retry
_ROOM = 1.25
# Each is a multiple of one of the few before it, so that fine spans add up to coarse ones.
_WIDTHS = (
    *(1, 5, 10, 30),
    *(60, 300, 600, 1800),
    *(3600, 3 * 3600, 6 * 3600, 12 * 3600),
    *(86_400, 7 * 86_400, 28 * 86_400, 364 * 86_400),
)


def width_for(span: int, spans: int = _FINEST, of: int = 1) -> int:
    """Return a round number of seconds, a multiple of `of`, that makes no more than `spans`."""
    fitting = (one for one in _WIDTHS if one % of == 0 and span < one * spans)
    return next(fitting, _WIDTHS[-1])


def timing(counts: Mapping[int, int], width: int, last: int) -> Timing | None:
    """Say when messages were accepted; `counts` are by spans of `width` seconds since the plan."""
    if not counts:
        return None
    coarse = width_for(min(last, round(_quantile(counts, width, _MOST) * _ROOM)), _SHOWN, width)
    number = min(_SHOWN, last // coarse + 1)
    spans = [0] * number
    later = 0
    for place, count in counts.items():
        at = place * width // coarse
        if at < number:
            spans[at] += count
        else:
            later += count
    return Timing(
        p50=min(last, _quantile(counts, width, 0.5)),
        p90=min(last, _quantile(counts, width, 0.9)),
        last=last,
        width=coarse,
        spans=tuple(spans),
        later=later,
    )


def _quantile(counts: Mapping[int, int], width: int, part: float) -> int:
    """Return the second by which this part of all was accepted: the last of its span."""
    wanted, sum_ = part * sum(counts.values()), 0
    for place in sorted(counts):
        sum_ += counts[place]
        if sum_ >= wanted:
            return (place + 1) * width - 1
    raise AssertionError("a part of all is never more than all")
