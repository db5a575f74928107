"""A real Chromium, and a newsletter to look at with it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from newsletter_bot.cli.newsletter import scaffold

_QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    path = shutil.which("chromium")
    assert path is not None, "Chromium is missing: run `make tools`"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=_QUIET)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page."""
    opened = browser.new_page()
    yield opened
    opened.close()


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A folder with the shipped sample newsletter."""
    folder = tmp_path / "news"
    scaffold(folder, sample=True)
    return folder


@pytest.fixture
def preview(sample: Path) -> Iterator[str]:
    """The address of a running preview of the sample issue."""
    command = [sys.executable, "-m", "newsletter_bot", "-C", str(sample), "--json"]
    process = subprocess.Popen(
        [*command, "preview", "2026-W47", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    text = "".join(iter(process.stdout.readline, "}\n"))
    yield json.loads(text + "}")["url"]
    process.terminate()
    process.communicate(timeout=20)
