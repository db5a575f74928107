"""What stands in deploy/ names only what exists."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from newsletter_bot.service.service import Role
from newsletter_bot.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = ["compose.yaml", "compose.scale.yaml"]


def _services(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text())["services"]
    return found


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_files_run_parts_that_there_are(name: str) -> None:
    for service in _services(name).values():
        words = service.get("command", [])
        if words:
            assert words[:2] == ["run", "--only"]
            assert words[2] in set(Role)


@pytest.mark.parametrize(
    "path", sorted(one for one in DEPLOY.rglob("*") if one.is_file()), ids=lambda path: path.name
)
def test_every_variable_named_is_a_setting(path: Path) -> None:
    for name in re.findall(r"NEWSLETTER_BOT_(\w+)", path.read_text()):
        table: Any = Settings
        for key in name.lower().split("__"):
            fields = table.model_fields
            extra = issubclass(table, BaseModel) and table.model_config.get("extra") == "allow"
            assert key in fields or extra, name
            table = fields[key].annotation if key in fields else BaseModel


def test_the_image_copies_what_there_is() -> None:
    for line in (DEPLOY / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY"):
            for source in line.split()[1:-1]:
                assert (DEPLOY.parent / source).exists(), source


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_knows_every_line_of_the_unit(tmp_path: Path) -> None:
    unit = (DEPLOY / "systemd" / "newsletter-bot.service").read_text()
    unit = re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", unit).replace("/srv/news", "/tmp")
    path = tmp_path / "newsletter-bot.service"
    path.write_text(unit)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Unknown" not in done.stderr, done.stderr
