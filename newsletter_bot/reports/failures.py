"""Why messages did not arrive, counted by what servers said, so that nobody can be made out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from newsletter_bot.delivery.model import DeliveryState
from newsletter_bot.feedback.mails.classify import Verdict, judge
from newsletter_bot.feedback.mails.model import Fault
from newsletter_bot.reports.model import KNOWN_BY, Failure
from newsletter_bot.reports.numbers_store import Said
from newsletter_bot.reports.words import said

_JUDGED = 2000  # texts; each takes a fraction of a millisecond
_TOLD_BY_SERVERS = (DeliveryState.REFUSED, DeliveryState.EXPIRED, DeliveryState.DEFERRED, "bounced")
_OWN_WORDS = (
    *("suppressed", "no longer subscribed", "gets the monthly digest"),
    *("paused by the reader", "the issue was cancelled", "outcome unknown"),
)
_OTHER = "other reasons"
_NOT_LOOKED_AT = "not-looked-at"


def failures(told: Iterable[Said], totals: Mapping[tuple[str, str], int]) -> list[Failure]:
    """Count what servers said by its class, the most frequent first.

    `totals` are all of each time and class, as far as that is known: what is missing was said in
    too many different words to look at.
    """
    found: Counter[tuple[str, str, Verdict]] = Counter()
    seen: Counter[tuple[str, str]] = Counter()
    judged: dict[tuple[str, str, str], Verdict] = {}
    for one in told:
        if one.when in _TOLD_BY_SERVERS:
            words = said(one.words)
            found[one.when, words, _verdict(one, words, judged)] += one.readers
            seen[one.when, one.fault] += one.readers
    for (when, fault), total in totals.items():
        if total > seen[when, fault]:
            verdict = Verdict(_known(fault) or Fault.SOFT, _NOT_LOOKED_AT, "")
            found[when, "", verdict] += total - seen[when, fault]
    return sorted(_folded(found), key=_order)


def skipped(told: Iterable[Said]) -> dict[str, int]:
    """Count why deliveries were skipped; what operators wrote themselves is not shown."""
    found: Counter[str] = Counter()
    for one in told:
        if one.when == DeliveryState.SKIPPED:
            own = (known for known in _OWN_WORDS if one.words.startswith(known))
            found[next(own, _OTHER)] += one.readers
    return dict(found.most_common())


def _verdict(one: Said, words: str, judged: dict[tuple[str, str, str], Verdict]) -> Verdict:
    key = words, one.status, one.fault
    if key not in judged:
        few = len(judged) < _JUDGED
        found = judge(one.words, one.status) if few else Verdict(Fault.SOFT, _NOT_LOOKED_AT, "")
        judged[key] = Verdict(_known(one.fault) or found.fault, found.rule, "")
    return judged[key]


def _known(fault: str) -> Fault | None:
    return Fault(fault) if fault in set(Fault) else None


def _folded(found: Mapping[tuple[str, str, Verdict], int]) -> Iterable[Failure]:
    """Take words off what was said to a few: they may name somebody."""
    few: Counter[tuple[str, Verdict]] = Counter()
    for (when, words, verdict), readers in found.items():
        if readers >= KNOWN_BY and words:
            yield Failure(when, verdict.fault, words, verdict.rule, readers)
        else:
            few[when, verdict] += readers
    for (when, verdict), readers in few.items():
        yield Failure(when, verdict.fault, "", verdict.rule, readers)


def _order(one: Failure) -> tuple[int, str, str, str]:
    return -one.readers, one.when, one.words, one.rule
