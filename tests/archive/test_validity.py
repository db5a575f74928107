"""Built pages, before the Nu HTML Checker and in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from PIL import Image as Picture

from newsletter_bot.archive.site import SiteReport
from newsletter_bot.bot import Bot
from newsletter_bot.issues.find import issue_files
from newsletter_bot.issues.importers import import_issue
from newsletter_bot.issues.model import Issue
from newsletter_bot.shipped import shipped

# The folder `shared` lies beside the checkout, where there is one.
SAMPLE = Path(__file__).parents[2] / ".." / "shared/samples/akira-ml-news-2021-w08.medium.md"
EVERYTHING = """\
---
issue: everything
title: "Everything & <the> rest"
preheader: "Each element that Markdown can write, with \\"quotes\\" and ]]>"
---
Hello **bold**, *em*, `code`, <https://example.com/a_long_path_without_any_break_in_it_at_all.html>.

## Section with *em* and `code`

Introduction.

### [An item, <div>oddly</div> <img src="x.png"> written](https://example.org/?a=1&b=2) {pick}

![Wide](img/wide.png)

*[2102.06171] A caption & "quotes"*

| left | right | centre |
|:-----|------:|:------:|
| a | 1.0 | x |
| something long in here that needs room | 23,456.78 | y and some more text |

1. one
2. two
   - nested

```python
def long_function_name(argument_one, argument_two, argument_three, argument_four): return 1
```

A note.[^1] Again[^1] and another[^2].

> A quote

> The one-liner.

#### A deeper heading

Line\\
break. ~~struck~~ H<sub>2</sub>O <kbd>Ctrl</kbd> <h1>loud</h1> <td>stray</td>

[card](https://distill.pub/2018/building-blocks/)

### Unlinked item

![Missing one](img/not-there.png)

Text with ![inline](img/no.png) image and **重要：**这是 and شبكة.

::: only plan=supporter
Secret
:::

[^1]: First note with [a link](https://example.com).
[^2]: Second note.

## Closing

About us.
"""
RIGHT_TO_LEFT = """\
---
issue: rtl
title: "الأسبوع ٤٠، ٢٠٢٦"
language: ar
---
## أوراق

### [الشبكات العميقة جدا](https://arxiv.org/abs/1512.03385)

الطبقات تتعلم ما تضيفه إلى مدخلها بدلا من كل شيء.
"""


@pytest.fixture
def everything(issue: Callable[..., Issue], newsletter: Path) -> list[Issue]:
    """Issues with every element, right to left, and headlines without a section."""
    (newsletter / "issues/img").mkdir()
    Picture.new("RGB", (1104, 300), "navy").save(newsletter / "issues/img/wide.png")
    flat = "## [One](https://example.org/1)\n\nText.\n\n## [Two](https://example.org/2)\n\nText.\n"
    return [issue(EVERYTHING, "everything"), issue(RIGHT_TO_LEFT, "rtl"), issue(flat, "flat")]


def test_pages_with_every_element_are_valid_html(
    everything: list[Issue],
    build: Callable[..., SiteReport],
    complaints: Callable[[Path], Sequence[str]],
) -> None:
    assert complaints(build(*everything).folder) == []


def test_an_empty_site_is_valid_html(
    build: Callable[..., SiteReport], complaints: Callable[[Path], Sequence[str]]
) -> None:
    assert complaints(build().folder) == []


def test_the_shipped_sample_makes_valid_pages_with_all_its_pictures(
    newsletter: Path,
    build: Callable[..., SiteReport],
    complaints: Callable[[Path], Sequence[str]],
) -> None:
    shutil.copytree(
        shipped("templates/newsletter/issues"), newsletter / "issues", dirs_exist_ok=True
    )
    bot = Bot.open(newsletter)
    site = build(*(bot.read(path) for path in issue_files(newsletter))).folder
    assert len(list(site.glob("archive/*/img/*.png"))) == 8
    assert complaints(site) == []


def test_the_imported_sample_makes_valid_pages(
    newsletter: Path,
    build: Callable[..., SiteReport],
    complaints: Callable[[Path], Sequence[str]],
) -> None:
    if not SAMPLE.is_file():
        pytest.skip("the folder `shared` with the sample is not beside this checkout")
    report = import_issue(SAMPLE, "medium", newsletter)
    built = build(Bot.open(newsletter).read(report.path))
    assert complaints(built.folder) == []
    page = (built.folder / "archive/2021-W08/index.html").read_text(encoding="utf-8")
    assert page.count('<section class="item"') == 14


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 375, 1000])
def test_no_page_is_wider_than_the_screen(
    everything: list[Issue],
    build: Callable[..., SiteReport],
    served: Callable[[Path], AbstractContextManager[str]],
    tmp_path: Path,
    width: int,
) -> None:
    site = build(*everything).folder
    pages = sorted(str(path.relative_to(site)) for path in site.rglob("*.html"))
    (site / "measure.html").write_text(_measuring(pages, width), encoding="utf-8")
    with served(site) as address:
        printed = _chromium(f"{address}/measure.html", tmp_path / "profile")
    found = re.search(r'<pre id="found">(.*?)</pre>', printed)
    assert found, printed[-2000:]
    assert json.loads(found[1]) == dict.fromkeys(pages, width)


def _measuring(pages: Sequence[str], width: int) -> str:
    frames = "".join(
        f'<iframe src="{page}" style="width:{width}px;height:900px;border:0"></iframe>'
        for page in pages
    )
    script = """
      addEventListener("load", () => {
        const found = {};
        for (const frame of document.querySelectorAll("iframe"))
          found[frame.getAttribute("src")] = frame.contentDocument.documentElement.scrollWidth;
        document.getElementById("found").textContent = JSON.stringify(found);
      });
    """
    return f'<!DOCTYPE html><pre id="found"></pre>{frames}<script>{script}</script>'


def _chromium(address: str, profile: Path) -> str:
    chromium = shutil.which("chromium")
    assert chromium, "Chromium is missing: run `make tools`."
    flags = "headless no-sandbox disable-gpu no-first-run disable-background-networking"
    flags += " disable-component-update disable-sync disable-quic hide-scrollbars dump-dom"
    done = subprocess.run(
        [chromium, *(f"--{flag}" for flag in flags.split()), f"--user-data-dir={profile}", address],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_checker_finds_a_mistake(
    tmp_path: Path, complaints: Callable[[Path], Sequence[str]]
) -> None:
    (tmp_path / "bad.html").write_text("<!DOCTYPE html><html lang=en><title>x</title><li>stray")
    assert complaints(tmp_path) != []
