"""The contract kit of providers: each that has a fake in tests/servers/providers is tested."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from newsletter_bot.delivery.transports import kinds
from tests.servers.providers import ProviderServer, fake, fakes, provider_server


@pytest.fixture(params=fakes())
def server(request: pytest.FixtureRequest) -> Iterator[ProviderServer]:
    with provider_server(fake(request.param)) as made:
        yield made


def test_a_provider_that_has_a_fake_is_a_transport(tmp_path: Path) -> None:
    del tmp_path
    assert set(fakes()) <= set(kinds())
