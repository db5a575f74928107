"""Addresses that look like others: words that mix letters of scripts that do not belong together.

The rule is "highly restrictive" of Unicode Technical Standard #39 section 5.2 (2025-09): one
script, or Latin with those of Chinese, Japanese or Korean.
"""

from __future__ import annotations

import re
import unicodedata

from newsletter_bot.subscribers.address import Address, AddressError

_TOGETHER = (
    frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "IDEOGRAPHIC"}),
    frozenset({"LATIN", "CJK", "BOPOMOFO"}),
    frozenset({"LATIN", "CJK", "HANGUL"}),
)


def refuse_homographs(address: Address) -> None:
    """Raise AddressError for a word that mixes scripts, like a Cyrillic а in a Latin name.

    Only what is asked for by strangers is held to this; a CSV or an operator may know better.
    """
    if address.text.isascii():
        return
    for word in re.split(r"[.@_+-]", address.text):
        scripts = {_script(letter) for letter in word if letter.isalpha()}
        if len(scripts) > 1 and not any(scripts <= allowed for allowed in _TOGETHER):
            raise AddressError("letters of different scripts in one word of the address")


def _script(letter: str) -> str:
    # Python tells no script; the first word of a letter's name does, for every living one.
    return unicodedata.name(letter, "UNKNOWN").partition(" ")[0]
