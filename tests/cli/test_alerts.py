from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from newsletter_bot.cli import app
from newsletter_bot.errors import ConfigurationError, TryAgainError
from tests.alerts.test_alerts import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


def alerts(newsletter: Path, *addresses: str) -> None:
    (newsletter / "alerts.txt").write_text("\n".join(addresses))
    toml = newsletter / "newsletter.toml"
    toml.write_text(toml.read_text() + '\n[alerts]\nurls_file = "alerts.txt"\n')


def test_a_test_alert_arrives(newsletter: Path, receiver: Receiver) -> None:
    alerts(newsletter, receiver.address)
    done = CliRunner().invoke(app, ["-C", str(newsletter), "--json", "alerts", "test"])
    assert json.loads(done.stdout) == {"told": 1}
    assert receiver.told[0]["title"] == "A test from Weekly ML News"


def test_nobody_to_tell_is_a_mistake_of_the_configuration(newsletter: Path) -> None:
    with pytest.raises(ConfigurationError, match="nobody to tell"):
        app.main(["-C", str(newsletter), "alerts", "test"])


def test_an_address_that_does_not_take_it_is_told_without_its_password(
    newsletter: Path, receiver: Receiver
) -> None:
    receiver.status = 500
    alerts(newsletter, receiver.address.replace("://", "://user:hunter2@"))
    with pytest.raises(TryAgainError) as error:
        app.main(["-C", str(newsletter), "alerts", "test"])
    assert "hunter2" not in error.value.message + error.value.next_step
