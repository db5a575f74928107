"""`pip install` alone gives a working command: the built wheel, in a clean environment."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    # Not isolated: hatchling is installed with the other tools, so building needs no network.
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True)
    (found,) = out.glob("*.whl")
    return found


def test_the_wheel_carries_templates_and_sample(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = "newsletter_bot/_shipped/"
    for name in (
        f"{shipped}templates/themes/weekly/issue.mjml.j2",
        f"{shipped}templates/web/style.css",
        f"{shipped}templates/web/proof/altcha.min.js",
        f"{shipped}templates/preview/preview.js",
        f"{shipped}templates/newsletter/newsletter.toml",
        f"{shipped}templates/newsletter/.gitignore",
        f"{shipped}templates/newsletter/issues/2026-W47.md",
        f"{shipped}templates/newsletter/issues/img/residual.png",
        f"{shipped}subscribers/sample.csv",
        "newsletter_bot/rendering/mjml-rules.json",
        "newsletter_bot/storage/migrations/versions/0001_first_tables.py",
        "newsletter_bot/py.typed",
    ):
        assert name in names
    assert not [name for name in names if name.startswith("tests/")]


def test_the_command_of_the_wheel_runs_the_demo(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = environment / "bin" / "python"
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    install = [str(python), "-m", "pip", "install", "--quiet", *constraints, str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    command = environment / "bin" / "newsletter-bot"
    done = subprocess.run(
        [str(command), "--json", "demo", "news"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert json.loads(done.stdout)["accepted"] == 23
    assert (tmp_path / "news" / "site" / "archive" / "2026-W47" / "img" / "residual.png").exists()
