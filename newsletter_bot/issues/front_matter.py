"""The lines between `---` (YAML) or `+++` (TOML): strings and lists of strings, each with its line.

YAML's own types are not used: it reads `no` as False, 1.10 as 1.1 and cuts a value at ` #`.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import yaml

from newsletter_bot.issues.model import EVERY, MONTHLY, Kind, Status
from newsletter_bot.issues.problems import Problems
from newsletter_bot.settings.tables import seconds

KEYS = (
    "issue",
    "title",
    "subject",
    "subjects",
    "preheader",
    "lists",
    "status",
    "tags",
    "language",
    "date",
    "delay",
    "segment",
    "frequency",
)
_FREE_TEXT = ("title", "subject", "subjects", "preheader")  # where a # may well be meant
IDENTITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_IDENTITY_RULE = "letters, digits, dots, hyphens and underscores, 64 at most."
_MOST_SUBJECTS = 4
_LONGEST_DELAY = 3650 * 86_400  # seconds
_LONGEST = 20_000  # characters: the readers of YAML and TOML are slow
_ODD_BREAK = re.compile(r"[\x85\u2028\u2029]")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_FENCE = {"---": "---", "+++": "+++"}


@dataclass(frozen=True, slots=True)
class Value:
    """A value as written, with the line of its key."""

    text: str | tuple[str, ...]
    line: int


@dataclass(slots=True)
class FrontMatter:
    """What the front matter says, checked; `lines` tells where."""

    identity: str = ""
    title: str = ""
    subjects: tuple[str, ...] = ()
    preheader: str = ""
    lists: tuple[str, ...] = ()
    status: Status = Status.DRAFT
    tags: tuple[str, ...] = ()
    language: str = ""
    published: date | None = None
    delay: int | None = None
    segment: str = ""
    frequency: str = EVERY
    lines: dict[str, int] = field(default_factory=dict)


def split(text: str, problems: Problems) -> tuple[dict[str, Value], str]:
    """Take the front matter off a file's text.

    Returns its values and the rest, in which the front matter is replaced by empty lines, so that
    line numbers stay true.
    """
    lines = text.split("\n")
    fence = _FENCE.get(lines[0].rstrip())
    if fence is None:
        _look_for_late_fence(lines, problems)
        return {}, text
    closing = next((n for n, line in enumerate(lines[1:], 1) if line.rstrip() == fence), None)
    if closing is None:
        problems.add("front-matter", 1, f"The front matter is not closed: no second {fence} line.")
        return {}, text
    source = "\n".join(lines[1:closing])
    if len(source) > _LONGEST:
        message = f"The front matter has {len(source):,} characters; {_LONGEST:,} are the most."
        problems.add("front-matter", 1, message)
        source = ""
    source = _without_odd_breaks(source, problems)
    read = _read_yaml if fence == "---" else _read_toml
    return read(source, problems), "\n" * (closing + 1) + "\n".join(lines[closing + 1 :])


def _look_for_late_fence(lines: list[str], problems: Problems) -> None:
    first = next((n for n, line in enumerate(lines) if line.strip()), 0)
    below = lines[first + 1] if first + 1 < len(lines) else ""
    if lines[first].rstrip() in _FENCE and re.match(rf"({'|'.join(KEYS)})\s*[:=]", below):
        message = "Front matter begins on the first line of a file: take away what is above it."
        problems.add("front-matter", first + 1, message)


def _without_odd_breaks(source: str, problems: Problems) -> str:
    # YAML takes these for line ends and would miscount every later line.
    for line, text in enumerate(source.split("\n"), 2):
        if odd := _ODD_BREAK.search(text):
            message = f"A line break that no editor shows (U+{ord(odd[0]):04X})."
            problems.add("front-matter", line, message)
    return _ODD_BREAK.sub(" ", source)


def identity(text: str, problems: Problems) -> str:
    """Check an identity that is the file's name."""
    if not IDENTITY.fullmatch(text):
        message = f"The file's name is no identity: {_IDENTITY_RULE} Or write `issue: …`."
        problems.add("front-matter", 1, message)
    return text


def read(values: dict[str, Value], list_ids: frozenset[str], problems: Problems) -> FrontMatter:
    """Check the values against what each key may hold; every problem is noted."""
    found = FrontMatter(lines={key: value.line for key, value in values.items()})
    for key, value in values.items():
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(KEYS)}."
            problems.add("unknown-key", value.line, f"Unknown key {key!r}. {hint}")
        elif _is_clean(key, value, problems):
            _set(found, key, value, problems)
    if "subject" in values and "subjects" in values:
        line = max(values["subject"].line, values["subjects"].line)
        problems.add("front-matter", line, "Write `subject` or `subjects`, not both.")
    for name in found.lists:
        if name not in list_ids:
            known = ", ".join(sorted(list_ids))
            line = found.lines["lists"]
            problems.add("front-matter", line, f"There is no list {name!r}. Known lists: {known}.")
    if not found.lists and (values or not problems.errors):  # else they may well be written
        found.lists = _usual_lists(list_ids, problems)
    return found


def _set(found: FrontMatter, key: str, value: Value, problems: Problems) -> None:
    many = (value.text,) if isinstance(value.text, str) else value.text
    if key in ("lists", "tags"):
        setattr(found, key, tuple(dict.fromkeys(one for one in many if one)))
        return
    if key == "subjects":
        _set_subjects(found, many, value.line, problems)
        return
    if not isinstance(value.text, str):
        problems.add("front-matter", value.line, f"{key}: one text is needed, not a list.")
        return
    _set_text(found, key, value.text, value.line, problems)


def _set_subjects(found: FrontMatter, many: Sequence[str], line: int, problems: Problems) -> None:
    found.subjects = tuple(one for one in many if one.strip())
    if len(found.subjects) > _MOST_SUBJECTS:
        problems.add("front-matter", line, f"subjects: {_MOST_SUBJECTS} at most can be tested.")
    if len(set(found.subjects)) < len(found.subjects):
        problems.add("front-matter", line, "subjects: two of them are the same.")


def _set_text(found: FrontMatter, key: str, text: str, line: int, problems: Problems) -> None:
    match key:
        case "issue" if not IDENTITY.fullmatch(text):
            problems.add("front-matter", line, f"issue: {_IDENTITY_RULE}")
        case "issue":
            found.identity = text
        case "subject":
            found.subjects = (text,) if text.strip() else ()
        case "status" if text not in list(Status):
            problems.add("front-matter", line, f"status: {text!r} is neither draft nor ready.")
        case "status":
            found.status = Status(text)
        case "language" if not _LANGUAGE.fullmatch(text):
            problems.add("front-matter", line, f"language: {text!r} is no tag like en or zh-Hans.")
        case "date":
            found.published = _date(text, line, problems)
        case "frequency" if text not in (EVERY, MONTHLY):
            message = f"frequency: {text!r} is neither {EVERY} nor {MONTHLY}."
            problems.add("front-matter", line, message)
        case "delay":
            found.delay = _delay(text, line, problems)
        case _:
            setattr(found, key, text)


def _date(text: str, line: int, problems: Problems) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        problems.add("front-matter", line, f"date: {text!r} is no day like 2026-11-22.")
        return None


def _delay(text: str, line: int, problems: Problems) -> int | None:
    try:
        found = seconds(text)
    except ValueError:
        problems.add("front-matter", line, f"delay: {text!r} is no duration like 30m, 6h or 3d.")
        return None
    if found > _LONGEST_DELAY:
        problems.add("front-matter", line, "delay: ten years at most.")
        return None
    return found


def settle_kind(front: FrontMatter, kind: Kind, problems: Problems) -> None:
    """See to it that sequence messages have a delay, and issues alone what chooses readers."""
    for key in ("segment", "frequency") if kind is not Kind.ISSUE else ():
        if key in front.lines:
            message = f"{key}: only an issue has one; all newcomers get a sequence message."
            problems.add("front-matter", front.lines[key], message)
    if kind is not Kind.ISSUE and len(front.subjects) > 1:
        message = "subjects: only an issue's are tested; a sequence message has one."
        problems.add("front-matter", front.lines["subjects"], message)
    line = front.lines.get("delay")
    if kind is Kind.ISSUE and line is not None:
        message = "delay: an issue has none. Messages that newcomers get stand in sequence/."
        problems.add("front-matter", line, message)
    elif kind is Kind.WELCOME and line is None:
        front.delay = 0
    elif kind is Kind.SEQUENCE and line is None:
        message = "delay: say how long after subscribing it is sent, like `delay: 3d`."
        problems.add("front-matter", 1, message)


def _usual_lists(list_ids: frozenset[str], problems: Problems) -> tuple[str, ...]:
    if len(list_ids) == 1:
        return tuple(list_ids)
    if "weekly" in list_ids:
        return ("weekly",)
    known = ", ".join(sorted(list_ids))
    problems.add("front-matter", 1, f"lists: say to which lists the issue goes ({known}).")
    return ()


def _is_clean(key: str, value: Value, problems: Problems) -> bool:
    texts = (value.text,) if isinstance(value.text, str) else value.text
    if any(_UNPRINTABLE.search(text) for text in texts):
        problems.add("front-matter", value.line, f"{key}: a line break or control character.")
        return False
    return True


def _read_yaml(source: str, problems: Problems) -> dict[str, Value]:
    try:
        node = yaml.compose(source, Loader=yaml.SafeLoader)
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(source)):
            problems.add("front-matter", 2, "YAML aliases (&, *) are not allowed.")
            return {}
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 2 if mark else 1
        problems.add("front-matter", line, f"Not valid YAML: {error.problem}. Quote the value?")
        return {}
    except yaml.reader.ReaderError as error:
        line = source.count("\n", 0, error.position) + 2
        problems.add("front-matter", line, "A control character that YAML does not allow.")
        return {}
    except (yaml.YAMLError, RecursionError) as error:
        problems.add("front-matter", 1, f"Not valid YAML: {str(error).splitlines()[0]}.")
        return {}
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        problems.add("front-matter", 2, "Write `key: value` lines.")
        return {}
    return dict(_yaml_values(node, source.split("\n"), problems))


def _yaml_values(
    node: yaml.MappingNode, lines: list[str], problems: Problems
) -> Iterator[tuple[str, Value]]:
    seen: set[str] = set()
    for key, value in node.value:
        line = key.start_mark.line + 2
        name = key.value if isinstance(key, yaml.ScalarNode) else str(key.tag)
        if name in seen:
            problems.add("front-matter", line, f"{name}: written twice.")
        seen.add(name)
        match value:
            case yaml.ScalarNode():
                _warn_of_comment(name, value, lines, problems)
                yield name, Value(value.value, line)
            case yaml.SequenceNode() if all(isinstance(n, yaml.ScalarNode) for n in value.value):
                for one in value.value:
                    _warn_of_comment(name, one, lines, problems)
                yield name, Value(tuple(str(n.value) for n in value.value), line)
            case _:
                problems.add("front-matter", line, f"{name}: a text or a list of texts is needed.")


def _warn_of_comment(
    name: str, node: yaml.ScalarNode, lines: list[str], problems: Problems
) -> None:
    if node.style is not None or name not in _FREE_TEXT:
        return
    if node.end_mark.line >= len(lines):  # an empty value at the end
        return
    rest = lines[node.end_mark.line][node.end_mark.column :]
    if rest.lstrip().startswith("#"):
        message = f"{name}: everything from {rest.strip()[:20]!r} on is a YAML comment; quote it."
        problems.add("cut-comment", node.start_mark.line + 2, message)


def _read_toml(source: str, problems: Problems) -> dict[str, Value]:
    try:
        data: dict[str, Any] = tomllib.loads(source, parse_float=str)
    except (ValueError, RecursionError) as error:
        found = re.search(r"\(at line (\d+)", str(error))
        line = int(found[1]) + 1 if found else 1
        if "at end of document" in str(error):
            line = source.count("\n") + 2
        problems.add("front-matter", line, f"Not valid TOML: {error}.")
        return {}
    lines = source.split("\n")
    values: dict[str, Value] = {}
    for name, value in data.items():
        start = rf"\s*[\"']?{re.escape(name)}[\"']?\s*="
        line = next((n for n, text in enumerate(lines, 2) if re.match(start, text)), 1)
        texts = value if isinstance(value, list) else [value]
        if any(isinstance(one, dict | list) for one in texts):
            problems.add("front-matter", line, f"{name}: a text or a list of texts is needed.")
        else:
            written = tuple(
                str(one).lower() if isinstance(one, bool) else str(one) for one in texts
            )
            values[name] = Value(written if isinstance(value, list) else written[0], line)
    return values
