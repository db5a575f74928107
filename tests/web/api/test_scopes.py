from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from newsletter_bot.bot import Bot
from newsletter_bot.web.api import make_api
from newsletter_bot.web.api.keys import Scope
from tests.conftest import NEWSLETTER_TOML
from tests.web.api.api_site import ApiSite

# What each operation needs, written down a second time: a slip in one place shows.
NEEDED = {
    "GET /subscribers": "subscribers:read",
    "POST /subscribers": "subscribers:write",
    "POST /subscribers/search": "subscribers:read",
    "GET /subscribers/{subscriber_id}": "subscribers:read",
    "PATCH /subscribers/{subscriber_id}": "subscribers:write",
    "DELETE /subscribers/{subscriber_id}": "subscribers:erase",
    "GET /subscribers/{subscriber_id}/export": "subscribers:read",
    "POST /subscribers/{subscriber_id}/address": "subscribers:write",
    "POST /subscribers/{subscriber_id}/unsubscribe": "subscribers:write",
    "PUT /subscribers/{subscriber_id}/tags/{tag}": "subscribers:write",
    "DELETE /subscribers/{subscriber_id}/tags/{tag}": "subscribers:write",
    "PUT /subscribers/{subscriber_id}/subscriptions/{list_id}": "subscribers:activate",
    "DELETE /subscribers/{subscriber_id}/subscriptions/{list_id}": "subscribers:write",
    "GET /lists": "lists:read",
    "GET /lists/{list_id}": "lists:read",
    "GET /segments": "segments:read",
    "GET /segments/{name}": "segments:read",
    "POST /segments/{name}/explain": "segments:read",
    "GET /suppressions": "suppressions:read",
    "POST /suppressions": "suppressions:write",
    "DELETE /suppressions": "suppressions:write",
    "POST /suppressions/lookup": "suppressions:read",
    "GET /issues": "issues:read",
    "GET /issues/{identity}": "issues:read",
    "GET /issues/{identity}/deliveries": "deliveries:read",
    "GET /reports/{identity}": "reports:read",
}
VALUES = {"subscriber_id": "1", "tag": "x", "list_id": "weekly", "name": "x", "identity": "x"}


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Operation → the scope that the description of the API says."""
    folder: Path = tmp_path_factory.mktemp("described")
    (folder / "newsletter.toml").write_text(NEWSLETTER_TOML, encoding="utf-8")
    (folder / "secret.key").write_text("0123456789abcdef" * 4, encoding="utf-8")
    bot = Bot.open(folder)
    schema = make_api(bot).openapi()
    yield {
        f"{method.upper()} {path}": " ".join(operation["security"][0]["key"])
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
    }
    bot.close()


def test_every_operation_is_in_the_matrix(described: dict[str, str]) -> None:
    assert described == NEEDED


def test_every_scope_is_needed_by_something() -> None:
    assert {one for one in Scope if ":" in one} == set(NEEDED.values())


def ask(program: httpx.Client, operation: str) -> int:
    method, _, path = operation.partition(" ")
    filled = re.sub(r"\{(\w+)\}", lambda found: VALUES[found[1]], path)
    return program.request(method, filled, json=None).status_code


def test_only_the_needed_scope_lets_in(site: ApiSite) -> None:
    programs = {scope: site.client(scope) for scope in Scope}
    for operation, needed in NEEDED.items():
        for scope, program in programs.items():
            wide = scope is Scope.ALL or (scope is Scope.READ and needed.endswith(":read"))
            refused = ask(program, operation) == 403
            assert refused is not (scope == needed or wide), (operation, scope)


def test_all_other_scopes_together_do_not(site: ApiSite) -> None:
    for needed in {*NEEDED.values()}:
        others = [one for one in Scope if ":" in one and one != needed]
        program = site.client(*others)
        for operation in (one for one, scope in NEEDED.items() if scope == needed):
            assert ask(program, operation) == 403, operation


def test_without_a_key_there_is_nothing(site: ApiSite) -> None:
    stranger = site.client(key="")
    for operation in NEEDED:
        assert ask(stranger, operation) in {401, 429}, operation
