"""Pages that show the colours they are told to."""

from __future__ import annotations

import pytest

from newsletter_bot.web.previewing.scheme import Scheme, in_scheme

PAGE = """<head><style>
@media (prefers-color-scheme: dark) { a }
@media screen and (Prefers-Color-Scheme:light) { b }
</style></head><body><code>@media (prefers-color-scheme: dark)</code></body>"""


@pytest.mark.parametrize(
    ("scheme", "dark", "light"), [("dark", "min", "max"), ("light", "max", "min")]
)
def test_each_question_gets_its_answer(scheme: str, dark: str, light: str) -> None:
    page = in_scheme(PAGE, Scheme(scheme))
    assert f"@media ({dark}-width: 0px) {{ a }}" in page
    assert f"@media screen and ({light}-width: 0px) {{ b }}" in page
    assert f"color-scheme: {scheme} !important" in page


def test_the_same_words_in_the_text_stay_as_they_were_written() -> None:
    assert "<code>@media (prefers-color-scheme: dark)</code>" in in_scheme(PAGE, Scheme.DARK)
