"""newsletter.toml + environment → Settings; an unknown key is an error with a suggestion."""

from __future__ import annotations

import difflib
import os
import re
import secrets
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from newsletter_bot.errors import ConfigurationError

FILE_NAME = "newsletter.toml"
ENVIRONMENT_PREFIX = "NEWSLETTER_BOT_"
Options = TypeVar("Options", bound=BaseModel)


def _one_line(value: str) -> str:
    if re.search(r"[\r\n\x00]", value):
        raise ValueError("a line break or NUL is not allowed here")
    return value


def _zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError(f"{value!r} is not a time zone of the IANA database, like Asia/Tokyo")
    return value


def _web_address(value: str) -> str:
    if not re.match(r"https?://[^\s/]+", value):
        raise ValueError("an address that begins with https:// is needed")
    return value.rstrip("/")


def _duration(value: str) -> str:
    seconds(value)
    return value


OneLine = Annotated[str, AfterValidator(_one_line)]
WebAddress = Annotated[OneLine, AfterValidator(_web_address)]
Duration = Annotated[str, AfterValidator(_duration)]

_REMEDY = "Correct newsletter.toml or the environment; docs/settings.md lists every key."
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(duration: str) -> int:
    """Read a duration like "90s", "6h" or "2d" as seconds."""
    found = re.fullmatch(r"(\d+)([smhd])", duration)
    if not found:
        raise ValueError(f"{duration!r} is not a duration like 30m, 6h or 2d")
    return int(found[1]) * _UNITS[found[2]]


class Table(BaseModel):
    """A table of newsletter.toml: a key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class NewsletterTable(Table):
    """[newsletter]: who publishes, where, and in whose name."""

    name: OneLine
    url: WebAddress
    from_: OneLine = Field(alias="from")
    reply_to: OneLine | None = None
    postal_address: OneLine = ""
    language: OneLine = "en"
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    theme: OneLine = "weekly"
    description: OneLine = ""

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which the newsletter's wall clock hangs."""
        return ZoneInfo(self.timezone)


class ListTable(Table):
    """[[lists]]: an opt-in unit; its id goes into List-Id."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    name: OneLine


class SlotTable(Table):
    """[[slots]]: a weekly wall-clock time at which an issue goes out."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    when: Annotated[str, Field(pattern=r"^(mon|tue|wed|thu|fri|sat|sun) ([01]\d|2[0-3]):[0-5]\d$")]
    late: Duration = "6h"
    none_ready: Literal["skip", "remind"] = "remind"
    approval: Literal["required", "automatic"] = "required"


class SubscribersTable(Table):
    """[subscribers]: the fields of your own that a CSV may fill and a slot may print."""

    fields: tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")], ...] = ()


class DatabaseTable(Table):
    """[database]: where the ledger lives; a relative SQLite path starts at the folder."""

    url: str = "sqlite:///newsletter.db"


class TransportTable(BaseModel):
    """[transport]: what every transport understands; the rest are the options of its kind."""

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: str = "smtp"
    connections: Annotated[int, Field(ge=1, le=64)] = 8
    rate: Annotated[str, Field(pattern=r"^(unlimited|[1-9]\d*/[smh])$")] = "unlimited"
    unknown: Literal["hold", "resend"] = "hold"
    deadline: Duration = "48h"

    @property
    def options(self) -> dict[str, Any]:
        """The keys that belong to this kind of transport alone."""
        return dict(self.model_extra or {})


class DkimTable(Table):
    """[dkim]: the key that signs, and where its public half is published."""

    domain: OneLine
    selector: OneLine
    key_file: str


class TrackingTable(Table):
    """[tracking]: what is counted about readers (nothing, unless asked), and link parameters."""

    opens: Literal["off", "aggregate", "individual"] = "off"
    clicks: Literal["off", "aggregate", "individual"] = "off"
    utm: dict[Annotated[str, Field(pattern=r"^(source|medium|campaign|term|content)$")], str] = (
        Field(default_factory=dict)
    )


class ArchiveTable(Table):
    """[archive]: where `archive build` writes the static site."""

    folder: str = "site"


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
    dkim: DkimTable | None = None
    tracking: TrackingTable = TrackingTable()
    archive: ArchiveTable = ArchiveTable()
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
            _explain(error, Settings, path),
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
            _explain(error, model, folder / FILE_NAME, table),
            _REMEDY,
        ) from error


def signing_secret(settings: Settings) -> bytes:
    """Return the secret behind unsubscribe links and bounce addresses.

    It is `secret` from the environment, else the content of `secret_file`. Losing it breaks every
    link already mailed, so a missing one is an error, never silently made anew.
    """
    if settings.secret:
        return settings.secret.encode()
    path = settings.folder / settings.secret_file
    try:
        found = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(
            f"The signing secret {path} cannot be read: {error.strerror}.",
            f"Restore that file from a backup, set {ENVIRONMENT_PREFIX}SECRET,"
            " or for a new newsletter run `newsletter-bot init`.",
        ) from error
    if len(found) < 32:  # noqa: PLR2004 - 128 bits, written as hexadecimal digits
        raise ConfigurationError(
            f"The signing secret in {path} is shorter than 32 characters.",
            "Restore it from a backup, or for a new newsletter run `newsletter-bot init`.",
        )
    return found.encode()


def write_secret(path: Path) -> None:
    """Make a new signing secret at `path`, readable by its owner only; an old one is kept."""
    if path.exists():
        return
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32) + "\n")


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


def _explain(error: ValidationError, model: type[BaseModel], path: Path, table: str = "") -> str:
    sentences = []
    for found in error.errors():
        keys = [str(part) for part in found["loc"]]
        name = ".".join([table, *keys] if table else keys)
        if found["type"] == "extra_forbidden":
            known = _known_keys(model, found["loc"][:-1])
            sentences.append(f"{path}: unknown key {name!r}.{_nearest(keys[-1], known)}")
        else:
            reason = found["msg"].removeprefix("Value error, ")
            sentences.append(f"{path}: {name}: {reason}.")
    return "\n".join(sentences)


def _known_keys(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    here: Any = model
    for part in place:
        if isinstance(part, str) and isinstance(here, type) and issubclass(here, BaseModel):
            here = _inner_model(here, part)
    if not (isinstance(here, type) and issubclass(here, BaseModel)):
        return []
    return [field.alias or name for name, field in here.model_fields.items() if name != "folder"]


def _inner_model(model: type[BaseModel], key: str) -> Any:
    for name, field in model.model_fields.items():
        if key in (name, field.alias):
            annotation: Any = field.annotation
            inner = [annotation, *getattr(annotation, "__args__", ())]
            return next(
                (one for one in inner if isinstance(one, type) and issubclass(one, BaseModel)), None
            )
    return None


def _nearest(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else f" Known keys: {', '.join(sorted(known))}."
