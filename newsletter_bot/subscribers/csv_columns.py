"""The columns of a CSV → our fields: first what was said by hand, then what headers are called."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from newsletter_bot.errors import DataError, UsageError
from newsletter_bot.subscribers.model import PERSONAL_FIELDS

# What a column may be mapped to, besides the newsletter's own fields.
CSV_FIELDS = (*PERSONAL_FIELDS, "last_name", "state")
# Field → header words, the surest first: beside `Email`, a column `Address` is a street.
_ALIASES = {
    "email": "email emailaddress mail emailadresse メールアドレス メール 邮箱 이메일 address",
    "name": "name fullname displayname 名前 氏名 姓名 이름",
    "first_name": "firstname givenname forename vorname prénom 名",
    "last_name": "lastname surname familyname nachname nom 姓",
    "language": "language lang locale sprache 言語 语言",
    "state": "state",
}


def assign(
    columns: Sequence[str], own: Collection[str], mapping: Mapping[str, str]
) -> list[str | None]:
    """Return each column's field, or None for one that is ignored; no field is given twice.

    Raises UsageError for a mapping of a column that is not there, DataError when no column holds
    addresses.
    """
    fields: dict[int, str] = {}
    for column, field in mapping.items():
        if field in fields.values():
            raise UsageError(f"--map: two columns are mapped to {field!r}.")
        fields[_position(columns, column)] = field
    for field, words in _known_as(own).items():
        bare = [words.index(_bare(one)) if _bare(one) in words else -1 for one in columns]
        found = [(rank, n) for n, rank in enumerate(bare) if rank >= 0 and n not in fields]
        if found and field not in fields.values():
            fields[min(found)[1]] = field
    if "email" not in fields.values():
        raise _no_addresses(columns)
    return [fields.get(n) for n in range(len(columns))]


def _known_as(own: Collection[str]) -> dict[str, list[str]]:
    return {
        **{field: [_bare(field)] for field in own},
        **{field: words.split() for field, words in _ALIASES.items() if field not in own},
    }


def _bare(column: str) -> str:
    return re.sub(r"[\s_.-]+", "", column.casefold())


def _position(columns: Sequence[str], wanted: str) -> int:
    names = [one.strip().casefold() for one in columns]
    if wanted.strip().casefold() not in names:
        raise UsageError(
            f"--map: the file has no column {wanted!r}.", f"Its columns: {_listed(columns)}."
        )
    return names.index(wanted.strip().casefold())


def _no_addresses(columns: Sequence[str]) -> DataError:
    if any("@" in column for column in columns):
        return DataError(
            f"The first line is no header, but a row: {_listed(columns)}.",
            "Write a first line that names the columns: email,name",
        )
    return DataError(
        f"No column holds addresses. The first line names these columns: {_listed(columns)}.",
        'Name the column: --map "Your column=email".',
    )


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(repr(column[:40]) for column in columns[:12]) or "none"
