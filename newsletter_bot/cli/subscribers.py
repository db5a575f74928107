"""Commands on people, gathered: files in people_files, one person in people and preferences."""

from __future__ import annotations

import click

from newsletter_bot.cli import people, people_files, preferences


@click.group()
def subscribers() -> None:
    """People: who gets the newsletter, and who must not."""


for command in (
    people_files.import_,
    people_files.export,
    people_files.stats,
    people.add,
    people.forget,
    people.purge,
    people.show,
    people.suppress,
    people.unsubscribe,
    people.unsuppress,
    preferences.move,
    preferences.prefer,
    preferences.tag,
):
    subscribers.add_command(command)
