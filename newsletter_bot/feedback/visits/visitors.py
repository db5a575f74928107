"""Who follows links and loads pictures: a human, a machine, or nobody can tell; by stated rules.

A visit is looked at twice. What its request alone says is known at once (`first_look`). What stands
around it (a burst, many readers of one network) is known a little later (`judged`). Every rule has
a name, which is kept with the visit, and a section in docs/tracking.md.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Actor(StrEnum):
    """Who made a visit."""

    HUMAN = "human"
    MACHINE = "machine"
    UNKNOWN = "unknown"


class Action(StrEnum):
    """What a visit was; the words of events."""

    CLICKED = "clicked"
    OPENED = "opened"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a rule makes of a visit, and why."""

    actor: Actor
    why: str


RULES: Mapping[str, Rule] = {
    # What the request alone says, the first that fits.
    "head": Rule(Actor.MACHINE, "It asked for the headers alone, as link checkers do."),
    "prefetch": Rule(Actor.MACHINE, "It said itself that nobody has asked for it yet."),
    "no-agent": Rule(Actor.MACHINE, "It named no program; every browser does."),
    "image-proxy": Rule(Actor.UNKNOWN, "A mail service's proxy: an open or not, nobody can tell."),
    "bare-agent": Rule(Actor.MACHINE, "`Mozilla/5.0` and no more: Apple's mail privacy proxy."),
    "scanner": Rule(Actor.MACHINE, "It named itself as a program that fetches by itself."),
    "no-language": Rule(Actor.UNKNOWN, "A browser by its name, which told no language."),
    "browser": Rule(Actor.HUMAN, "A browser or mail program, and no other rule fits."),
    "other-agent": Rule(Actor.UNKNOWN, "A program that we do not know."),
    # What stands around it; these come before the others.
    "burst": Rule(Actor.MACHINE, "3 different links of one mail or more within 2 seconds."),
    "after-head": Rule(Actor.MACHINE, "The same visitor asked for its headers 10 seconds around."),
    "soon": Rule(Actor.MACHINE, "Within 10 seconds of delivery, and suspect otherwise too."),
    "network": Rule(Actor.MACHINE, "One program of one network, for over 10 readers in a minute."),
}
_BURST_LINKS, _BURST = 3, 2  # links; seconds
_AROUND_HEAD = 10  # seconds
_SOON = 10  # seconds from acceptance
_READERS, _MINUTE = 10, 60
AROUND = _MINUTE  # seconds around a visit in which others say something about it

# As they named themselves in 2026. Outlook ("Microsoft Office", "ms-office") shows mail to people,
# Telegram has a browser of its own, and Cubot makes telephones.
_SCANNER = re.compile(
    r"(?<!cu)bot\b|crawl|spider|scan|headless|phantomjs|selenium|puppeteer|playwright|lighthouse|curl/|wget"
    r"|python|httpx|aiohttp|go-http-client|java/|libwww|perl|ruby|php/|node-fetch|node\.js|axios|undici|httpclient"
    r"|http_request|winhttp|proofpoint|mimecast|barracuda|ironport|symantec|trendmicro|forcepoint"
    r"|fireeye|sophos|safelinks|urldefense|virustotal|preview|facebookexternalhit|whatsapp|slack-img"
    r"|skypeuri|embedly|feedfetcher|monitor|checker|validator|fetch",
    re.IGNORECASE,
)
_PROXY = re.compile(r"googleimageproxy|ggpht\.com|yahoomailproxy|yahoo! slurp", re.IGNORECASE)
_BROWSER = re.compile(r"Mozilla/5\.0 \(.{3,}\).* (?:AppleWebKit|Gecko|Trident)/", re.IGNORECASE)
_MAIL_PROGRAM = re.compile(r"Mozilla/|Microsoft O(?:ffice|utlook)|ms-office|Thunderbird|Mail/")
_BARE = "Mozilla/5.0"
_EAGER = ("prefetch", "prerender", "preview")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says of who made it; names of headers in lower case."""

    action: Action
    method: str
    headers: Mapping[str, str]

    @property
    def agent(self) -> str:
        """What the program calls itself."""
        return self.headers.get("user-agent", "").strip()


def first_look(asked: Asked) -> str:
    """Return the name of the rule for what a request alone says."""
    return next(_signs(asked), "other-agent")


def _signs(asked: Asked) -> Iterator[str]:
    agent, click = asked.agent, asked.action is Action.CLICKED
    if asked.method == "HEAD":
        yield "head"
    if _is_eager(asked.headers):
        yield "prefetch"
    if not agent:
        yield "no-agent"
    if _PROXY.search(agent):
        yield "scanner" if click else "image-proxy"
    if agent == _BARE:
        yield "bare-agent"
    if _SCANNER.search(agent):
        yield "scanner"
    if not (_BROWSER if click else _MAIL_PROGRAM).match(agent):
        yield "other-agent"
    if click and not asked.headers.get("accept-language"):
        yield "no-language"
    yield "browser"


def _is_eager(headers: Mapping[str, str]) -> bool:
    said = " ".join(headers.get(one, "") for one in ("purpose", "sec-purpose", "x-moz")).lower()
    return any(one in said for one in _EAGER)


@dataclass(frozen=True, slots=True)
class Visit:
    """A link that was followed or a picture that was loaded, as it is kept."""

    action: Action
    issue_id: int
    link: int | None  # its number; None for the picture
    at: int  # seconds since 1970 UTC
    rule: str  # of the first look
    network: str  # truncated; in aggregate a hash, dropped with the judgement
    agent: str = ""
    delivery_id: int | None = None  # None in aggregate


@dataclass(frozen=True, slots=True)
class Seen:
    """A visit as it was kept, and what is known around it."""

    id: int
    action: Action
    rule: str  # of the first look, or of an earlier judgement
    at: int
    visitor: str  # one copy of an issue, or in aggregate a hash; empty when that was dropped
    link: int | None
    network: str = ""  # with the program; empty in aggregate
    delivery: int | None = None
    accepted_at: int | None = None


def judged(visits: Iterable[Seen]) -> dict[int, str]:
    """Return the rule that each visit's surroundings speak for, by its id; all are looked at."""
    by_time = sorted(visits, key=lambda one: (one.at, one.id))
    found = {one.id: "soon" for one in by_time if _is_soon(one)}
    found |= dict.fromkeys(_of_networks(by_time), "network")
    of_visitors = defaultdict(list)
    for one in by_time:
        if one.visitor and one.action is Action.CLICKED:
            of_visitors[one.visitor].append(one)
    for theirs in of_visitors.values():
        found |= dict.fromkeys(_after_heads(theirs), "after-head")
        found |= dict.fromkeys(_bursts(theirs), "burst")
    return found


def _is_soon(one: Seen) -> bool:
    early = one.accepted_at is not None and one.at - one.accepted_at < _SOON
    return early and one.action is Action.CLICKED and RULES[one.rule].actor is not Actor.HUMAN


def _bursts(theirs: Sequence[Seen]) -> Iterator[int]:
    return _crowded(theirs, _BURST, lambda one: one.link, _BURST_LINKS - 1)


def _after_heads(theirs: Sequence[Seen]) -> Iterator[int]:
    heads = [one.at for one in theirs if one.rule == "head"]
    for one in theirs:
        following = bisect_left(heads, one.at - _AROUND_HEAD)
        near = following < len(heads) and heads[following] <= one.at + _AROUND_HEAD
        if near and one.rule != "head":
            yield one.id


def _of_networks(visits: Sequence[Seen]) -> Iterator[int]:
    by_network = defaultdict(list)
    for one in visits:
        # What a proxy does is judged already, and is for many readers by its nature.
        if one.network and one.delivery is not None and one.rule != "image-proxy":
            by_network[one.network].append(one)
    for those in by_network.values():
        yield from _crowded(those, _MINUTE, lambda one: one.delivery, _READERS)


def _crowded(
    visits: Sequence[Seen], seconds: int, what: Callable[[Seen], object], most: int
) -> Iterator[int]:
    """Yield all of any such time in which there were more than `most` different ones."""
    counts: Counter[object] = Counter()
    begin, told = 0, 0
    for at, one in enumerate(visits):
        counts[what(one)] += 1
        while one.at - visits[begin].at > seconds:
            gone = what(visits[begin])
            counts[gone] -= 1
            if not counts[gone]:
                del counts[gone]
            begin += 1
        if len(counts) > most:
            yield from (known.id for known in visits[max(begin, told) : at + 1])
            told = at + 1
