"""Mistakes in newsletter.toml, as sentences that name the file, the key, and the nearest one."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

_LISTS = frozenset({"tuple_type", "list_type", "set_type", "frozen_set_type"})


def explain(error: ValidationError, model: type[BaseModel], path: Path, table: str = "") -> str:
    """Say each mistake in a sentence: the file, the key, and the key that may have been meant."""
    sentences = []
    unknown: dict[str, list[str]] = {}  # by what is said of them
    for found in error.errors():
        keys = [str(part) for part in found["loc"]]
        name = ".".join([table, *keys] if table else keys)
        if found["type"] == "extra_forbidden":
            known = _known_keys(model, found["loc"][:-1])
            unknown.setdefault(_nearest(keys[-1], known), []).append(repr(name))
        else:
            reason = "a list is needed" if found["type"] in _LISTS else found["msg"]
            reason = reason.removeprefix("Value error, ")
            sentences.append(f"{path}: {name}: {reason}." if name else f"{path}: {reason}.")
    for near, names in unknown.items():
        keys_are = "keys" if len(names) > 1 else "key"
        sentences.append(f"{path}: unknown {keys_are} {', '.join(names)}.{near}")
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
