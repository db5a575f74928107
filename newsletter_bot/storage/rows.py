"""Many rows as one parameter: a statement that takes values for each of them, run once.

`executemany` runs a statement per row; the calls alone would cost a busy sender more than the rows.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    FromClause,
    Text,
    bindparam,
    cast,
    column,
    func,
)

_PARAMETER = "rows"  # bound to a JSON array of objects
_Type = type[BigInteger] | type[Text]


def json_rows(dialect: str, **columns: _Type) -> dict[str, ColumnElement[object]]:
    """Return the columns of the rows that the parameter `rows` holds, a JSON array of objects."""
    if dialect == "postgresql":
        source: FromClause = (
            func.json_to_recordset(cast(bindparam(_PARAMETER, type_=Text), JSON))
            .table_valued(*(column(name, kind()) for name, kind in columns.items()))
            .render_derived(name="r", with_types=True)
        )
        return {name: source.c[name] for name in columns}
    each = func.json_each(bindparam(_PARAMETER, type_=Text)).table_valued("value", name="r")
    return {
        name: func.json_extract(each.c.value, f"$.{name}", type_=kind())
        for name, kind in columns.items()
    }
