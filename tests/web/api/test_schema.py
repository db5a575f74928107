"""Whatever the description of the API allows and forbids, asked by Schemathesis."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig

from newsletter_bot.bot import Bot
from newsletter_bot.settings import Settings
from newsletter_bot.settings.tables import NewsletterTable, SubscribersTable
from newsletter_bot.storage.tables import api_keys
from newsletter_bot.web.api import make_api
from newsletter_bot.web.api.keys import Scope, hash_of, make_key
from tests.conftest import NEWSLETTER_TOML, SMALL_ISSUE
from tests.web.api.api_site import ApiSite, settle

KEY = make_key()
# Unlike others, this check can be told too much: not everything that cannot be can be described.
# `said_otherwise` looks at what was refused although its description allows it.
ALLOWED = ["2xx", 401, 403, 404, 409, 422, 429]
# Those it takes for a refusal by itself, and the server's own: an address may be too long to hear.
REFUSED = [400, 401, 403, 404, 405, 406, 409, 413, 414, 415, 422, 428, 429, "5xx"]
CONFIG = SchemathesisConfig.from_dict(
    {
        "auth": {"openapi": {"key": {"bearer": KEY}}},
        "generation": {"max-examples": 10},
        "checks": {
            "positive_data_acceptance": {"expected-statuses": ALLOWED},
            "negative_data_rejection": {"expected-statuses": REFUSED},
        },
    }
)
NEWS = NewsletterTable(name="News", url="https://news.example.com", from_="news@example.com")
FIELDS = SubscribersTable(fields=("plan",))
# The operations are known before there is a server: each is a test of its own.
DESCRIBED = make_api(Bot(Settings(newsletter=NEWS, subscribers=FIELDS))).openapi()
schema = schemathesis.openapi.from_dict(DESCRIBED, config=CONFIG)


@pytest.fixture(scope="module")
def whole_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiSite]:
    """A newsletter in which the examples of the description exist, and a key with all scopes."""
    folder: Path = tmp_path_factory.mktemp("whole")
    (folder / "newsletter.toml").write_text(NEWSLETTER_TOML, encoding="utf-8")
    (folder / "secret.key").write_text("0123456789abcdef" * 4, encoding="utf-8")
    for place, text in (
        ("issues/2026-W47.md", SMALL_ISSUE.replace("2026-W01", "2026-W47")),
        ("subscribers/segments/readers-of-late.toml", 'all = [{list = "weekly"}]\n'),
    ):
        (folder / place).parent.mkdir(parents=True)
        (folder / place).write_text(text, encoding="utf-8")
    settle(folder, more='\n[api]\nrate = "1000000/s"\n')
    site = ApiSite(folder)
    for number in range(5):
        site.add(f"p{number}@example.com")
    site.bot.plan(site.bot.read(folder / "issues/2026-W47.md"))
    row = {"name": "all", "hash": hash_of(KEY), "scopes": [Scope.ALL], "made_at": int(time.time())}
    with site.bot.engine.begin() as connection:
        connection.execute(api_keys.insert().values(row))
    yield site
    site.close()


@schema.parametrize()
def test_the_api_is_as_it_is_described(case: schemathesis.Case[Any], whole_site: ApiSite) -> None:
    # Calls without a key are among them, more than one network may make.
    limits = whole_site.bot.people.limits
    whole_site.bot.writer.run(lambda found: limits.forget(found, "127.0.0.0/24", "api-failed"))
    response = case.call_and_validate(base_url=whole_site.base)
    meta = case.meta
    if response.status_code == 422 and meta is not None and meta.generation.mode.is_positive:
        assert said_otherwise(response.json()), response.text


def said_otherwise(body: Any) -> bool:
    """Tell whether a refusal is one for which a schema has no words."""
    if body["type"].endswith(":reused"):
        return True
    places = {one.get("pointer") or one.get("parameter") for one in body.get("errors", [])}
    if places:
        return places <= {"/address", "cursor", "segment", "rules"}
    return body["detail"] in {
        "There is no such list.",
        "The language is no tag like en, ja or zh-Hant.",
        "A pause of more than two years.",
    }
