"""Docs are part of a change: a command, setting, rule or transport without a line fails here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from pydantic import BaseModel

from newsletter_bot.cli import COMMANDS, app
from newsletter_bot.crosspost.channels import kinds as channel_kinds
from newsletter_bot.delivery.transports import kinds
from newsletter_bot.feedback.mailboxes import kinds as mailbox_kinds
from newsletter_bot.issues import checks as issue_checks
from newsletter_bot.rendering import checks as rendering_checks
from newsletter_bot.settings import Settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def _read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def _commands(
    group: click.Group, words: tuple[str, ...] = ()
) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _commands(command, (*words, name))
        else:
            yield " ".join((*words, name)), command


@pytest.mark.parametrize(("name", "command"), list(_commands(app)), ids=str)
def test_every_command_and_option_is_documented(name: str, command: click.Command) -> None:
    text = _read("commands.md")
    section = text.partition(f"## `{name}")[2].partition("\n## ")[0]
    assert section, f"docs/commands.md has no section for `{name}`"
    assert command.help, f"{name} has no help"
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert any(f"`{word}" in section for word in parameter.opts), parameter.opts


def test_every_documented_command_exists() -> None:
    known = {name for name, _ in _commands(app)}
    written = re.findall(r"^## `([a-z-]+(?: [a-z-]+)*)", _read("commands.md"), re.MULTILINE)
    assert [one for one in written if one not in known and one.split()[0] not in known] == []
    assert set(COMMANDS) == {name.split()[0] for name in known}


def _keys(model: type[BaseModel], table: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        key = f"{table}{field.alias or name}"
        annotation: Any = field.annotation
        inner = [annotation, *getattr(annotation, "__args__", ())]
        models = [one for one in inner if isinstance(one, type) and issubclass(one, BaseModel)]
        if models:
            yield from _keys(models[0], f"{key}.")
        elif key != "folder":
            yield key


@pytest.mark.parametrize("key", list(_keys(Settings)))
def test_every_setting_is_documented(key: str) -> None:
    assert f"`{key}`" in _read("settings.md")


@pytest.mark.parametrize("kind", list(kinds()))
def test_every_transport_and_its_options_are_documented(kind: str) -> None:
    section = _read("transports.md").partition(f"## `{kind}`")[2].partition("\n## ")[0]
    assert section, f"docs/transports.md has no section for {kind}"
    for option in kinds()[kind].Options.model_fields:
        assert f"`{option}`" in section


@pytest.mark.parametrize("name", list(channel_kinds()))
def test_every_channel_and_its_options_are_documented(name: str) -> None:
    section = _read("channels.md").partition(f"## `{name}`")[2].partition("\n## ")[0]
    assert section, f"docs/channels.md has no section for {name}"
    for option in channel_kinds()[name].Options.model_fields:
        assert f"`{option}`" in section


@pytest.mark.parametrize("name", list(mailbox_kinds()))
def test_every_kind_of_mailbox_and_its_options_are_documented(name: str) -> None:
    section = _read("mailboxes.md").partition(f"### `{name}`")[2].partition("\n##")[0]
    assert section, f"docs/mailboxes.md has no section for {name}"
    for option in mailbox_kinds()[name].Options.model_fields:
        assert f"`{option}`" in section


def test_every_check_rule_is_documented_with_its_severity() -> None:
    text = _read("checks.md")
    rules = {**issue_checks.RULES, **rendering_checks.RULES}
    for name, rule in rules.items():
        assert re.search(rf"^\| `{name}` \| {rule.severity} \|", text, re.MULTILINE), name
    assert set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)) == set(rules)


def test_every_dependency_has_a_line() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = project.partition("dependencies = [")[2].partition("[project.scripts]")[0]
    names = {found.lower() for found in re.findall(r'"([A-Za-z0-9_-]+)', block)}
    text = _read("dependencies.md").lower()
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []


def test_links_between_documents_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.glob("*.md")]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", _without_code(page))
        if not (page.parent / target).exists()
    ]
    assert broken == []


def _without_code(page: Path) -> str:
    return re.sub(r"`[^`]*`", "", page.read_text(encoding="utf-8"))
