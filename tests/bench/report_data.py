"""A ledger of a million deliveries and a million events in a dozen issues, made inside SQLite."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from newsletter_bot.storage.engine import open_engine

ISSUES = 12
LARGEST = "2026-W12"  # has all but a hundredth of everything for each other issue
_BEGUN = 1_770_000_000
_WEEK = 604_800

_COUNT = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)"
_RENDERING = "INSERT INTO renderings (hash, content, made_at) VALUES ('none', '{}', 1)"
_ISSUES = f"""\
{_COUNT}
INSERT INTO issues (id, identity, title, state, rendering, lists, planned_at, finished_at)
SELECT i, printf('2026-W%02d', i), 'Week ' || i, 'sent', 'none', '["weekly"]',
       {_BEGUN} + i * {_WEEK}, {_BEGUN} + i * {_WEEK} + 10000 FROM n
"""
_LINKS = f"""\
{_COUNT}
INSERT INTO links (issue_id, number, url, item, title)
SELECT 1 + (i - 1) / 20, 1 + (i - 1) % 20, 'https://example.org/' || i,
       'item-' || ((i - 1) % 20 / 2), 'Item ' || ((i - 1) % 20 / 2) FROM n
"""
_PEOPLE = f"""\
{_COUNT}
INSERT INTO subscribers
  (id, address, address_key, suppression_key, name, language, fields, added_at)
SELECT i, a, a, randomblob(20), 'Reader ' || i, '', '{{}}', 1
FROM (SELECT i, 'reader' || i || '@' || CASE
  WHEN i % 100 < 45 THEN 'gmail.com' WHEN i % 100 < 60 THEN 'outlook.com'
  WHEN i % 100 < 70 THEN 'yahoo.com' WHEN i % 100 < 90 THEN 'domain' || (i % 97) || '.example'
  ELSE 'alone' || i || '.example' END AS a FROM n)
"""
_CHANGES = f"""\
INSERT INTO subscription_changes (subscriber_id, list, state, by, at)
SELECT id, 'weekly', 'active', 'confirm',
  CASE WHEN id % 20 THEN 1 ELSE {_BEGUN} + id / 20 % 12 * {_WEEK} END FROM subscribers
"""
_LEFT = f"""\
INSERT INTO subscription_changes (subscriber_id, list, state, by, at)
SELECT id, 'weekly', 'unsubscribed', 'one-click', {_BEGUN} + 12 * {_WEEK} + 90000 + id
FROM subscribers WHERE id % 200 = 0
"""
_ACTIVE = """\
INSERT INTO subscriptions (list, subscriber_id, state, consent, changed_at)
SELECT 'weekly', id, CASE WHEN id % 200 THEN 'active' ELSE 'unsubscribed' END, '{}', 1
FROM subscribers
"""
# Sent within two hours and a half, a few of each thousand refused, deferred or skipped.
_DELIVERIES = f"""\
INSERT INTO deliveries
  (id, issue_id, subscriber_id, list, state, attempts, attempted_at, reason, changed_at, variant)
SELECT :first + id, :issue, id, 'weekly',
  CASE id % 1000 WHEN 1 THEN 'refused' WHEN 2 THEN 'refused' WHEN 3 THEN 'expired'
    WHEN 4 THEN 'skipped' WHEN 5 THEN 'unknown' ELSE 'accepted' END,
  1, 1,
  CASE WHEN id % 1000 IN (1, 2) THEN '550 5.1.1 <reader' || id || '@example> User unknown q' || id
    WHEN id % 1000 = 4 THEN 'paused by the reader' ELSE '250 2.0.0 Ok: queued as ' || id END,
  {_BEGUN} + :issue * {_WEEK} + 60 + id * 9000 / :count, id % 2
FROM subscribers WHERE id <= :count
"""
_EVENTS = f"""\
{_COUNT}
INSERT INTO events (source, key, kind, issue_id, delivery_id, subscriber_id, at, received_at,
  class, status, reason, link, actor, why, agent)
SELECT 'link', :issue || '-' || i,
  CASE WHEN i % 100 < 25 THEN 'delivered' WHEN i % 100 < 40 THEN 'opened'
    WHEN i % 100 < 43 THEN 'bounced' WHEN i % 1000 = 999 THEN 'complained' ELSE 'clicked' END,
  :issue, :first + 1 + i * 7919 % :people, 1 + i * 7919 % :people,
  {_BEGUN} + :issue * {_WEEK} + i, 1,
  CASE WHEN i % 100 BETWEEN 40 AND 42 THEN
    CASE i % 3 WHEN 0 THEN 'hard' WHEN 1 THEN 'soft' ELSE 'block' END ELSE '' END,
  '', CASE WHEN i % 100 BETWEEN 40 AND 42 THEN 'mailbox of reader' || i || '@x full' ELSE '' END,
  CASE WHEN i % 100 >= 43 AND i % 1000 <> 999 THEN 1 + i % 20 END,
  CASE WHEN i % 100 >= 43 AND i % 1000 <> 999 THEN
    CASE i % 3 WHEN 0 THEN 'machine' WHEN 1 THEN 'unknown' ELSE 'human' END ELSE '' END,
  '', 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36'
FROM n
"""


@dataclass(frozen=True)
class Rows:
    """How many rows an issue has, and where those of the largest begin."""

    total: int  # deliveries of all issues, and as many events

    @property
    def few(self) -> int:
        """Return what each issue but the largest has."""
        return max(1, self.total // 100)

    @property
    def most(self) -> int:
        """Return what the largest has."""
        return self.total - self.few * (ISSUES - 1)

    def of(self, issue: int) -> tuple[int, int]:
        """Return an issue's number of rows, and the id before its first delivery."""
        return (self.most if issue == ISSUES else self.few), self.few * (issue - 1)


def make(folder: Path, total: int) -> None:
    """Fill the newsletter's database with so many deliveries and so many events."""
    open_engine("sqlite:///newsletter.db", folder).dispose()
    rows = Rows(total)
    with closing(sqlite3.connect(folder / "newsletter.db")) as database, database:
        database.execute("PRAGMA synchronous = OFF")
        database.execute(_RENDERING)
        database.execute(_ISSUES, {"count": ISSUES})
        database.execute(_LINKS, {"count": ISSUES * 20})
        database.execute(_PEOPLE, {"count": rows.most})
        for statement in (_CHANGES, _LEFT, _ACTIVE):
            database.execute(statement)
        for issue in range(1, ISSUES + 1):
            count, first = rows.of(issue)
            values = {"issue": issue, "count": count, "first": first, "people": count}
            database.execute(_DELIVERIES, values)
            database.execute(_EVENTS, values)
