"""newsletter.toml + environment → Settings; an unknown key is an error with a suggestion."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from newsletter_bot.errors import ConfigurationError
from newsletter_bot.settings.explain import explain
from newsletter_bot.settings.feedback import FeedbackTable
from newsletter_bot.settings.mailboxes import MailboxTable
from newsletter_bot.settings.people import ApiTable, SignupTable, WebhookTable
from newsletter_bot.settings.service import AlertsTable, CollectTable, ServiceTable, WebTable
from newsletter_bot.settings.tables import (
    DEFAULT_RELAY,
    ArchiveTable,
    DatabaseTable,
    DkimTable,
    ListTable,
    NamedRelayTable,
    NewsletterTable,
    RelayTable,
    SlotTable,
    SubjectTestTable,
    SubscribersTable,
    TrackingTable,
    TransportTable,
    seconds,
)

FILE_NAME = "newsletter.toml"
ENVIRONMENT_PREFIX = "NEWSLETTER_BOT_"
_REMEDY = "Correct newsletter.toml or the environment; docs/settings.md lists every key."
Options = TypeVar("Options", bound=BaseModel)


class Settings(BaseSettings):
    """Everything the operator configured, checked; made by `load`."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=ENVIRONMENT_PREFIX,
        env_nested_delimiter="__",
    )

    folder: Path = Field(default=Path(), exclude=True)
    newsletter: NewsletterTable
    lists: tuple[ListTable, ...] = (ListTable(id="weekly", name="Weekly"),)
    slots: tuple[SlotTable, ...] = ()
    subscribers: SubscribersTable = SubscribersTable()
    database: DatabaseTable = DatabaseTable()
    transport: TransportTable = TransportTable()
    relays: tuple[NamedRelayTable, ...] = ()
    dkim: DkimTable | None = None
    tracking: TrackingTable = TrackingTable()
    mailboxes: tuple[MailboxTable, ...] = ()
    subject_test: SubjectTestTable = SubjectTestTable()
    feedback: FeedbackTable = FeedbackTable()
    archive: ArchiveTable = ArchiveTable()
    web: WebTable = WebTable()
    signup: SignupTable = SignupTable()
    api: ApiTable = ApiTable()
    webhooks: tuple[WebhookTable, ...] = ()
    service: ServiceTable = ServiceTable()
    alerts: AlertsTable = AlertsTable()
    collect: CollectTable = CollectTable()
    channels: dict[str, dict[str, Any]] = Field(default_factory=dict)
    secret: str = Field(default="", repr=False)
    secret_file: str = "secret.key"  # noqa: S105 - a file name

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings

    @model_validator(mode="after")
    def _relays_are_told_apart(self) -> Self:
        names = [one.name for one in self.relays]
        if len(set(names)) < len(names):
            raise ValueError("[[relays]]: two of them have the same name")
        own = self.transport.model_fields_set & set(RelayTable.model_fields)
        stray = ", ".join(sorted({*self.transport.options, *own}))
        if self.relays and stray:
            raise ValueError(f"[transport]: {stray}: of a relay, so move it to [[relays]]")
        unknown = {name for one in self.relays for name in one.lists} - self.list_ids
        if unknown:
            raise ValueError(f"[[relays]]: there is no list {', '.join(sorted(unknown))}")
        return self

    @model_validator(mode="after")
    def _slots_are_told_apart(self) -> Self:
        if len({one.id for one in self.slots}) < len(self.slots):
            raise ValueError("[[slots]]: two of them have the same id")
        if len({one.when for one in self.slots}) < len(self.slots):
            raise ValueError("[[slots]]: two of them are at the same time")
        if any(one.id == "once" for one in self.slots):
            raise ValueError("[[slots]]: once is the name of times that --at gives")
        return self

    @model_validator(mode="after")
    def _webhooks_are_told_apart(self) -> Self:
        if len({one.name for one in self.webhooks}) < len(self.webhooks):
            raise ValueError("[[webhooks]]: two of them have the same name")
        return self

    @model_validator(mode="after")
    def _mailboxes_are_told_apart(self) -> Self:
        if len({one.name for one in self.mailboxes}) < len(self.mailboxes):
            raise ValueError("[[mailboxes]]: two of them have the same name")
        return self

    @model_validator(mode="after")
    def _a_subject_test_ends_before_the_deadline(self) -> Self:
        wait, deadline = self.subject_test.wait, self.transport.deadline
        chosen = "wait" in self.subject_test.model_fields_set  # the usual one is cut short instead
        if chosen and seconds(wait) > seconds(deadline):
            raise ValueError(f"[subject_test]: wait is longer than transport.deadline, {deadline}")
        return self

    @property
    def routes(self) -> tuple[NamedRelayTable, ...]:
        """The relays there are: [[relays]], or [transport] as the only one."""
        if self.relays:
            return self.relays
        shared = self.transport.model_dump(include=set(RelayTable.model_fields))
        options = self.transport.options
        return (NamedRelayTable(name=DEFAULT_RELAY, **shared, **options),)

    @property
    def list_ids(self) -> frozenset[str]:
        """The ids an issue's `lists:` may name."""
        return frozenset(one.id for one in self.lists)


def load(folder: Path) -> Settings:
    """Read `folder`/newsletter.toml and the environment.

    Raises ConfigurationError naming the file, the key, and the nearest known key.
    """
    path = folder / FILE_NAME
    data = _read_toml(path)
    try:
        return Settings(folder=folder, **data)
    except ValidationError as error:
        raise ConfigurationError(
            explain(error, Settings, path),
            _REMEDY,
        ) from error


def read_options(
    model: type[Options], options: dict[str, Any], table: str, folder: Path
) -> Options:
    """Check a table whose keys only its own kind knows (a transport's options) against `model`."""
    try:
        return model.model_validate(options)
    except ValidationError as error:
        raise ConfigurationError(
            explain(error, model, folder / FILE_NAME, table),
            _REMEDY,
        ) from error


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"There is no {path}.",
            "Go to a newsletter's folder, name it with -C DIR, or make one with `init DIR`.",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}.", "Mend the file.") from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
