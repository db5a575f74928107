from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter_bot.subscribers.tokens import TokenSigner

SIGNER = TokenSigner(b"0123456789abcdef" * 4)
ids = st.integers(min_value=0, max_value=2**48 - 1)


@given(ids, st.sampled_from(["weekly", "monthly"]))
def test_an_unsubscribe_token_says_who_and_which_list(number: int, list_id: str) -> None:
    claim = SIGNER.read_unsubscribe_token(SIGNER.unsubscribe_token(number, list_id))
    assert claim is not None
    assert claim.subscriber_id == number
    assert claim.matches(list_id)
    assert not claim.matches("other")


@given(ids)
def test_a_token_survives_a_change_of_case_and_fits_a_mail_address(number: int) -> None:
    token = SIGNER.bounce_token(number)
    assert SIGNER.read_bounce_token(token.upper()) == number
    assert token.isalnum()
    assert len(f"unsub+{SIGNER.unsubscribe_token(number, 'weekly')}") <= 64


@given(st.text(max_size=60))
def test_a_text_we_did_not_sign_says_nothing(text: str) -> None:
    assert SIGNER.read_unsubscribe_token(text) is None
    assert SIGNER.read_bounce_token(text) is None


@given(st.integers(0, 200), st.sampled_from("0123456789abcdefg"))
def test_a_changed_letter_makes_a_token_worthless(at: int, letter: str) -> None:
    token = SIGNER.unsubscribe_token(7, "weekly")
    at %= len(token)
    forged = token[:at] + letter + token[at + 1 :]
    claim = SIGNER.read_unsubscribe_token(forged)
    assert claim is None or claim.subscriber_id == 7


@pytest.mark.parametrize("cut", [0, 1, 10, -1])
def test_a_truncated_token_is_worthless(cut: int) -> None:
    assert SIGNER.read_unsubscribe_token(SIGNER.unsubscribe_token(7, "weekly")[:cut]) is None


def test_a_token_is_worthless_for_another_purpose_or_secret() -> None:
    assert SIGNER.read_bounce_token(SIGNER.unsubscribe_token(7, "weekly")) is None
    assert SIGNER.read_unsubscribe_token(SIGNER.bounce_token(7)) is None
    other = TokenSigner(b"fedcba9876543210" * 4)
    assert other.read_bounce_token(SIGNER.bounce_token(7)) is None


def test_a_letters_return_path_is_no_deliverys() -> None:
    signer = TokenSigner(b"secret" * 8)
    token = signer.letter_token(7)
    assert signer.read_letter_token(token) == 7
    assert signer.read_bounce_token(token) is None
    assert signer.read_letter_token(signer.bounce_token(7)) is None
    assert len(f"bounce+{token}") <= 64
