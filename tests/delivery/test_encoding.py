from __future__ import annotations

import base64
import quopri

import pytest
from dkim.canonicalization import Relaxed
from hypothesis import given
from hypothesis import strategies as st

from newsletter_bot.delivery.composing.encoding import Base64, QuotedPrintable, encoded
from newsletter_bot.issues.model import Condition
from newsletter_bot.rendering.model import Escape, Hole, Only, Pieces, Static, filled

ENCODINGS: list[type[QuotedPrintable | Base64]] = [QuotedPrintable, Base64]

# What goes wrong on the way comes from blanks, tabs, dots and `From `: none is rare here.
awkward = st.lists(st.sampled_from([" ", "  ", "\t", ".", "\n", "=", "é", "From ", "x" * 74])).map(
    "".join
)
texts = awkward | st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
statics = st.builds(Static, texts)
holes = st.builds(Hole, st.sampled_from(["name", "link"]), texts, st.just(Escape.PLAIN))
inner = st.lists(statics | holes, max_size=3).map(tuple)
conditions = st.just((Condition("plan", ("supporter",)),))
pieces_of_any_shape = st.lists(statics | holes | st.builds(Only, conditions, inner), max_size=6)
values = st.fixed_dictionaries(
    {"name": texts, "link": texts, "plan": st.sampled_from(["", "supporter"])}
)


def _decoded(kind: type[QuotedPrintable | Base64], data: bytes) -> str:
    plain = quopri.decodestring(data) if kind is QuotedPrintable else base64.b64decode(data)
    return plain.decode()


def _as_sent(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize("kind", ENCODINGS)
@given(pieces=pieces_of_any_shape.map(tuple), values=values)
def test_any_text_and_any_value_come_out_as_they_went_in(
    kind: type[QuotedPrintable | Base64], pieces: Pieces, values: dict[str, str]
) -> None:
    # Static texts are joined by value, so a CR at the end of one and an LF at the start of the
    # next stay two line breaks.
    expected = "".join(_as_sent(filled((piece,), values)) for piece in _flat(pieces, values))
    data = kind(pieces).fill(values)
    found = _decoded(kind, data).replace("\r\n", "\n")
    if kind is QuotedPrintable:
        found = found.removesuffix("\n")
    assert found == expected


@pytest.mark.parametrize("kind", ENCODINGS)
@given(pieces=pieces_of_any_shape.map(tuple), values=values)
def test_no_value_makes_a_line_too_long_or_a_bare_line_break(
    kind: type[QuotedPrintable | Base64], pieces: Pieces, values: dict[str, str]
) -> None:
    data = kind(pieces).fill(values)
    assert data.endswith(b"\r\n")
    lines = data.split(b"\r\n")
    assert all(len(line) <= 76 and b"\r" not in line and b"\n" not in line for line in lines)


@pytest.mark.parametrize("kind", ENCODINGS)
@given(words=st.lists(texts, min_size=2, max_size=6), value=texts)
def test_nothing_on_the_way_has_a_reason_to_change_a_line(
    kind: type[QuotedPrintable | Base64], words: list[str], value: str
) -> None:
    pieces: list[Static | Hole] = []
    for word in words:
        pieces += [Static(word), Hole("name", "", Escape.PLAIN)]
    data = kind(tuple(pieces)).fill({"name": value})
    # A body of two parts ends in its boundary, which keeps the last line break in its place.
    body = data + b"--end--\r\n"
    assert Relaxed.canonicalize_body(body) == body
    assert body.isascii()
    assert not any(line.startswith((b".", b"From ")) for line in body.split(b"\r\n"))
    assert max(map(len, body.split(b"\r\n"))) <= 76


@pytest.mark.parametrize("length", range(65, 85))
def test_a_line_that_ends_at_the_limit_is_broken_before_it(length: int) -> None:
    for tail in ("x", "é", "=", "xé", "éx"):
        text = "x" * length + tail
        body = QuotedPrintable((Static(text), Hole("name", "", Escape.PLAIN), Static("end")))
        data = body.fill({"name": "y" * length})
        assert max(map(len, data.split(b"\r\n"))) <= 76
        assert quopri.decodestring(data).decode() == f"{text}{'y' * length}end\r\n"


def test_the_smaller_encoding_is_taken() -> None:
    assert encoded((Static("plain words " * 50),)).name == "quoted-printable"
    assert encoded((Static("毎週の機械学習の論文" * 50),)).name == "base64"


def test_an_only_block_is_there_for_those_it_names_alone() -> None:
    block = Only((Condition("plan", ("supporter",)),), (Static("thanks"),))
    for kind in ENCODINGS:
        body = kind((Static("a "), block, Static(" b")))
        assert "thanks" in _decoded(kind, body.fill({"plan": "Supporter"}))
        assert "thanks" not in _decoded(kind, body.fill({"plan": "free"}))


def _flat(pieces: Pieces, values: dict[str, str]) -> list[Static | Hole]:
    flat: list[Static | Hole] = []
    for piece in pieces:
        if isinstance(piece, Only):
            if values["plan"] == "supporter":
                flat.extend(piece.pieces)
        else:
            flat.append(piece)
    return flat
