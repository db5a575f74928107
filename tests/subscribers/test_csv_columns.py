from __future__ import annotations

import pytest

from newsletter_bot.errors import DataError, UsageError
from newsletter_bot.subscribers.csv_columns import assign


def test_a_street_beside_the_mail_address_is_no_mail_address() -> None:
    assert assign(["Address", "E-Mail"], (), {}) == [None, "email"]
    assert assign(["Email", "Address"], (), {}) == ["email", None]
    assert assign(["Address"], (), {}) == ["email"]


def test_what_is_said_by_hand_wins() -> None:
    columns = ["Email", "Private = Mail", "Vorname"]
    assert assign(columns, (), {"private = mail": "email"}) == [None, "email", "first_name"]


def test_no_field_is_given_twice() -> None:
    assert assign(["name", "Full name", "email"], (), {}) == ["name", None, "email"]
    assert assign(["Plan", "plan", "email"], ("plan",), {}) == ["plan", None, "email"]
    with pytest.raises(UsageError, match="two columns are mapped to 'email'"):
        assign(["a", "b"], (), {"a": "email", "b": "email"})


def test_a_field_of_ones_own_comes_before_a_known_header() -> None:
    assert assign(["email", "state"], ("state",), {}) == ["email", "state"]
    assert assign(["mail", "address"], ("address",), {}) == ["email", "address"]


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="no column 'Nmae'") as caught:
        assign(["email", "Name"], (), {"Nmae": "name"})
    assert caught.value.next_step == "Its columns: 'email', 'Name'."


def test_without_addresses_the_columns_are_listed() -> None:
    with pytest.raises(DataError, match="these columns: 'wer', 'was'"):
        assign(["wer", "was"], (), {})
    with pytest.raises(DataError, match="these columns: none"):
        assign([], (), {})
