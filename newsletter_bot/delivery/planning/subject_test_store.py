"""The SQL of a test of subjects: who gets which one at once, who waits for it, and the decision.

An issue with several subjects is drawn when it is planned: deliveries of the sample have a variant
from then on, the others none. Those are owed and not due until the test is decided, which is one
transaction. Here `subject_test.py` is made true, and its docstring says what is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    ScalarSelect,
    and_,
    case,
    func,
    select,
    update,
)

from newsletter_bot.delivery.model import DeliveryState
from newsletter_bot.delivery.planning.subject_test import Decision, Figures, Terms, judge
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.rows import json_rows
from newsletter_bot.storage.tables import deliveries, events, issues

_PAGE = 5000
_UNTRIED = (DeliveryState.PLANNED, DeliveryState.SENDING)
_EVENLY = "No winner: {}. So the subjects were shared out evenly."
_NOBODY_LEFT = "No winner: everybody was in the sample."


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many wait for a decision, and until when (seconds since 1970 UTC)."""

    count: int = 0
    until: int = 0


# ── conditions that others ask ───────────────────────────────────────────────────────────────


def undecided() -> ColumnElement[bool]:
    """Return the condition for an issue of which somebody may wait: true, false, never NULL."""
    return and_(_number("wait_until").is_not(None), _number("decided_at").is_(None))


def held(now: int) -> ColumnElement[bool]:
    """Return the condition for an issue whose test is not to be decided yet."""
    return and_(undecided(), func.coalesce(_number("wait_until"), 0) > now)


def late_variant(issue_id: int) -> ScalarSelect[int | None]:
    """Return the variant of who is owed an issue after its plan; NULL waits with the others."""
    chosen = func.coalesce(_number("winner"), 0)
    variant = case((_number("decided_at").is_not(None), chosen), else_=None)
    return select(variant).where(issues.c.id == issue_id).scalar_subquery()


def _number(name: str) -> ColumnElement[int]:
    number: ColumnElement[int] = issues.c.subject_test[name].as_integer()
    return number


# ── the draw ─────────────────────────────────────────────────────────────────────────────────


def share_out(connection: Connection, issue_id: int, terms: Terms, now: int) -> None:
    """Give the sample its variants and let the others wait; everybody, where no test can be held.

    Part of the transaction that plans the issue.
    """
    why = _why_not_held(connection, issue_id, terms)
    if why:
        _give(connection, issue_id, terms, 1.0)
    test = {
        "subjects": list(terms.subjects),
        "share": terms.share,
        "wait": terms.wait,
        "wait_until": None if why else now + terms.wait,
        "decided_at": now if why else None,
        "winner": None,
        "why": why,
        "variants": [Figures(one, 0, 0).to_json() for one in range(len(terms.subjects))],
        "difference": None,
        "needed": None,
    }
    _write(connection, issue_id, test)


def _why_not_held(connection: Connection, issue_id: int, terms: Terms) -> str:
    """Give the sample its variants; returns why nobody has to wait, if that is so."""
    why = terms.why_not(_give(connection, issue_id, terms, terms.share))
    if why:
        return _EVENLY.format(why)
    return "" if any(_planned(connection, issue_id)) else _NOBODY_LEFT


def _planned(connection: Connection, issue_id: int) -> Iterator[list[tuple[int, int]]]:
    """Yield (delivery, subscriber) of those planned without a variant, page by page."""
    after = 0
    query = (
        select(deliveries.c.id, deliveries.c.subscriber_id)
        .where(
            deliveries.c.issue_id == issue_id,
            deliveries.c.state == DeliveryState.PLANNED.value,
            deliveries.c.variant.is_(None),
        )
        .order_by(deliveries.c.id)
        .limit(_PAGE)
    )
    while True:
        rows = connection.execute(query.where(deliveries.c.id > after)).all()
        if not rows:
            return
        after = rows[-1][0]
        yield [(row[0], row[1]) for row in rows]


def _give(connection: Connection, issue_id: int, terms: Terms, share: float) -> list[int]:
    """Write the variants of this share of the readers; returns how many got each."""
    counts = [0] * len(terms.subjects)
    chosen = select(json_rows(connection.dialect.name, id=BigInteger)["id"])
    for page in _planned(connection, issue_id):
        by_variant: list[list[dict[str, int]]] = [[] for _ in counts]
        for delivery, subscriber in page:
            if terms.draw.position(subscriber) < share:
                by_variant[terms.draw.variant(subscriber, len(counts))].append({"id": delivery})
        for variant, rows in enumerate(by_variant):
            given = update(deliveries).where(deliveries.c.id.in_(chosen)).values(variant=variant)
            connection.execute(given, {"rows": json.dumps(rows)})
            counts[variant] += len(rows)
    return counts


# ── the decision ─────────────────────────────────────────────────────────────────────────────


class SubjectTestStore:
    """Reads and decides tests; every method is one transaction."""

    def __init__(self, engine: Engine, clock: Callable[[], float], deadline: int) -> None:
        """`deadline`, in seconds after the plan, is when a test is decided at the latest."""
        self._engine = engine
        self._clock = clock
        self._deadline = deadline

    def read(self, issue_id: int) -> dict[str, Any]:
        """Return an issue's test, with the figures of this moment until they are final."""
        with reading(self._engine) as connection:
            test = _read(connection, issue_id)
            if test and (test["decided_at"] is None or test["wait_until"] is None):
                figures = _figures(connection, issue_id, len(test["subjects"]))
                test["variants"] = [one.to_json() for one in figures]
            return test

    def waiting(self, issue_id: int) -> Waiting:
        """Count who waits for the decision: nobody, where there is none to come."""
        with reading(self._engine) as connection:
            test = _read(connection, issue_id)
            if not _is_open(test):
                return Waiting()
            query = (
                select(func.count())
                .select_from(deliveries)
                .where(
                    deliveries.c.issue_id == issue_id,
                    deliveries.c.state == DeliveryState.PLANNED.value,
                    deliveries.c.variant.is_(None),
                )
            )
            count: int = connection.execute(query).scalar_one()
            return Waiting(count, test["wait_until"])

    def put_off(self, issue_id: int) -> float:
        """Let the wait begin behind the last message of the sample; returns when it ends, or never.

        Call it when a run has nothing more to send.
        """
        with self._engine.begin() as connection:
            test = _read(connection, issue_id)
            return self._until(connection, issue_id, test) if _is_open(test) else inf

    def settle(self, issue_id: int) -> str:
        """Decide a test whose time has come; returns the decision, empty when there is none.

        Its time is a wait after the last message of the sample, and the deadline at the latest.
        Call it under the issue's lock.
        """
        now = int(self._clock())
        with self._engine.begin() as connection:
            test = _read(connection, issue_id)
            if not _is_open(test) or now < self._until(connection, issue_id, test):
                return ""
            figures = _figures(connection, issue_id, len(test["subjects"]))
            decision = judge(figures, test["subjects"])
            _write(connection, issue_id, {**test, **_said(decision, figures, now)})
            _release(connection, issue_id, decision.winner or 0, now)
            return decision.why

    def _until(self, connection: Connection, issue_id: int, test: dict[str, Any]) -> int:
        """Write when a test is to be decided, as far as that is known by now; returns it."""
        planned = select(issues.c.planned_at).where(issues.c.id == issue_id)
        begun: int = connection.execute(planned).scalar_one()
        went = _sample_went(connection, issue_id, int(self._clock()))
        until: int = min(begun + self._deadline, (begun if went is None else went) + test["wait"])
        if until != test["wait_until"]:
            _write(connection, issue_id, {**test, "wait_until": until})
            test["wait_until"] = until
        return until


def _is_open(test: dict[str, Any]) -> bool:
    return bool(test) and test["wait_until"] is not None and test["decided_at"] is None


def _read(connection: Connection, issue_id: int) -> dict[str, Any]:
    query = select(issues.c.subject_test).where(issues.c.id == issue_id)
    return dict(connection.execute(query).scalar_one())


def _write(connection: Connection, issue_id: int, test: dict[str, Any]) -> None:
    connection.execute(update(issues).where(issues.c.id == issue_id).values(subject_test=test))


def _drawn(issue_id: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return deliveries.c.issue_id == issue_id, deliveries.c.variant.is_not(None)


def _sample_went(connection: Connection, issue_id: int, now: int) -> int | None:
    """Return when the last of the sample was tried for the first time: now, while some are not.

    None where all of it was skipped.
    """
    left = select(deliveries.c.id).where(*_drawn(issue_id), deliveries.c.state.in_(_UNTRIED))
    if connection.execute(left.limit(1)).first() is not None:
        return now
    last = select(func.max(deliveries.c.attempted_at)).where(*_drawn(issue_id))
    found: int | None = connection.execute(last).scalar()
    return found


def _figures(connection: Connection, issue_id: int, count: int) -> list[Figures]:
    """Count by variant who got it, and who of them was seen to click as a human."""
    got = (*_drawn(issue_id), deliveries.c.state == DeliveryState.ACCEPTED.value)
    sent = select(deliveries.c.variant, func.count()).where(*got).group_by(deliveries.c.variant)
    clicked = (
        select(deliveries.c.variant, func.count(func.distinct(deliveries.c.id)))
        .join(events, events.c.delivery_id == deliveries.c.id)
        .where(
            *got,
            events.c.issue_id == issue_id,
            events.c.kind == "clicked",
            events.c.actor == "human",
        )
        .group_by(deliveries.c.variant)
    )
    sents = {row[0]: row[1] for row in connection.execute(sent)}
    clicks = {row[0]: row[1] for row in connection.execute(clicked)}
    return [Figures(one, sents.get(one, 0), clicks.get(one, 0)) for one in range(count)]


def _said(decision: Decision, figures: Iterable[Figures], now: int) -> dict[str, Any]:
    ends = decision.difference
    return {
        "decided_at": now,
        "winner": decision.winner,
        "why": decision.why,
        "variants": [one.to_json() for one in figures],
        "difference": {"low": ends[0], "high": ends[1]} if ends else None,
        "needed": decision.needed,
    }


def _release(connection: Connection, issue_id: int, variant: int, now: int) -> None:
    """Let the others go with this subject; their deadline begins now."""
    waiting = (
        deliveries.c.issue_id == issue_id,
        deliveries.c.variant.is_(None),
        deliveries.c.state != DeliveryState.SKIPPED.value,
    )
    connection.execute(update(deliveries).where(*waiting).values(variant=variant))
    connection.execute(update(issues).where(issues.c.id == issue_id).values(extended_at=now))
