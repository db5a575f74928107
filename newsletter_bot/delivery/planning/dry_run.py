"""What a send would do: counted with the plan's own question, nothing written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from newsletter_bot.delivery.planning.subject_test import Terms
from newsletter_bot.rendering.model import Only, Rendering, applies, filled
from newsletter_bot.subscribers.model import Subscriber
from newsletter_bot.subscribers.selection import USUAL, Selection

_FIRST_SUBJECTS = 3


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a send would do: counted with the plan's own question, nothing written."""

    count: int
    lists: Sequence[str]
    skips: dict[str, int]
    segments: dict[str, int]
    subjects: tuple[tuple[str, str], ...]
    selection: Selection = USUAL
    sample: tuple[int, ...] = ()  # readers by variant, of several subjects
    no_test: str = ""  # why several subjects are not tested


def dry_run(
    people: Iterable[tuple[Subscriber, str]],
    rendering: Rendering,
    lists: Sequence[str],
    selection: Selection = USUAL,
    test: Terms | None = None,
) -> DryRun:
    """Tell what `send` would do for these people, each with why they are skipped, or nothing."""
    drawn = Counter[int | None]()
    count, skips, segments = 0, Counter[str](), Counter[str]()
    subjects: list[tuple[str, str]] = []
    blocks = {_words(one): one for one in rendering.html if isinstance(one, Only)}
    for person, reason in people:
        if reason:
            skips[reason] += 1
            continue
        count += 1
        values = person.values()
        if test is not None:
            drawn[test.drawn(person.id)] += 1
        segments.update(name for name, one in blocks.items() if applies(one.conditions, values))
        if len(subjects) < _FIRST_SUBJECTS:
            subjects.append((person.address, filled(rendering.subjects[0], values)))
    seen = {name: segments[name] for name in blocks}
    found = DryRun(count, lists, dict(skips), seen, tuple(subjects), selection)
    if test is None:
        return found
    sample = tuple(drawn[one] for one in range(len(test.subjects)))
    return replace(found, sample=sample, no_test=test.why_not(sample))


def _words(block: Only) -> str:
    return " ".join(
        f"{one.field}{'!=' if one.negated else '='}{','.join(one.values)}"
        for one in block.conditions
    )
