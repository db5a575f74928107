"""The contract kit of importers, and the real issue it was made for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from newsletter_bot.errors import DataError, IssueFileError, UsageError
from newsletter_bot.issues import importers
from newsletter_bot.issues.checks import check_issue
from newsletter_bot.issues.model import Card, Issue, Prose

SAMPLE = Path(__file__).parents[4] / "shared" / "samples" / "akira-ml-news-2021-w08.medium.md"
needs_sample = pytest.mark.skipif(not SAMPLE.exists(), reason=f"{SAMPLE} is not here")

Read = Callable[[Path], Issue]

ENGLISH = """\
# Pretty Good Papers, Week 3, 2024

> Original: <https://medium.com/x?source=collection_archive---------1>

Some papers I liked.

### Topics

1.  Papers
2.  Tools

### —Editor's picks

*   [The second one](https://e.com/b?utm_source=medium)
*   [Not an item](https://e.com/zzz)

### 1. Papers

#### [The first one](https://e.com/a?utm_campaign=x&id=7&source=post_page---8)

![](img/a.png)

*[2401.00001] Its title* What it says ([more](/someone/story-1?source=user_profile)).

#### [**The second** one](https://e.com/b)

[](https://e.com/b) [#### A card

##### It says more

e.com](https://e.com/b) [](https://e.com/c) [#### Another card

e.com](https://e.com/c)

### 2. Tools

#### A tool without a link.

Text.

### About me

[](https://e.com/me) [#### Me

##### about

e.com](https://e.com/me)
"""


@pytest.mark.parametrize("name", importers.names())
def test_every_importer_says_what_it_reads(name: str) -> None:
    importer = importers.get(name)
    assert importer.description.endswith(".")


@pytest.mark.parametrize("name", importers.names())
def test_every_importer_writes_a_file_that_can_be_read_and_does_so_once(
    name: str, tmp_path: Path, read: Read
) -> None:
    file = tmp_path / "source" / "an-issue.md"
    file.parent.mkdir()
    file.write_text("## S\n\n### [I](https://e.com/i)\n\nText.\n", encoding="utf-8")
    first = importers.import_issue(file, name, tmp_path)
    assert importers.import_issue(file, name, tmp_path) == first
    assert [one.title for one in read(first.path).items] == ["I"]
    first.path.write_text("mine", encoding="utf-8")
    with pytest.raises(DataError, match="exists already and is different"):
        importers.import_issue(file, name, tmp_path)
    assert first.path.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("name", importers.names())
def test_no_importer_reads_what_is_no_text(name: str, tmp_path: Path) -> None:
    file = tmp_path / "x.md"
    file.write_bytes(b"a\x00b")
    with pytest.raises(IssueFileError, match="NUL"):
        importers.import_issue(file, name, tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        importers.import_issue(tmp_path / "none.md", name, tmp_path)


def test_an_unknown_importer_names_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        importers.get("substack")
    assert caught.value.next_step == "Write --from markdown or --from medium."


def test_an_english_export_with_other_heading_levels_is_put_in_order(
    tmp_path: Path, read: Read
) -> None:
    file = tmp_path / "export.md"
    file.write_text(ENGLISH, encoding="utf-8")
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "a.png").write_bytes(b"picture")
    report = importers.import_issue(file, "medium", tmp_path)
    assert (report.sections, report.items, report.picks) == (2, 3, 1)
    assert report.notes == ("The pick “Not an item” is none of the items.",)
    issue = read(report.path)
    assert issue.identity == "2024-W03"
    assert issue.title == "Pretty Good Papers, Week 3, 2024"
    assert [one.title for one in issue.sections] == ["Papers", "Tools"]
    assert [one.title for one in issue.items] == [
        "The first one",
        "The second one",
        "A tool without a link",
    ]
    first, second, third = issue.items
    assert first.url == "https://e.com/a?id=7"
    assert first.caption is not None
    assert (first.caption.source_id, first.caption.title) == ("2401.00001", "Its title")
    assert isinstance(first.body[0], Prose)
    assert 'href="https://medium.com/someone/story-1"' in first.body[0].html
    assert second.pick
    assert [one.title for one in second.body if isinstance(one, Card)] == ["A card", "Another card"]
    assert third.url is None
    assert [one.title for one in issue.closing] == ["About me"]
    assert (tmp_path / "issues" / "img" / "a.png").read_bytes() == b"picture"


def test_a_file_without_linked_headings_is_no_newsletter(tmp_path: Path) -> None:
    file = tmp_path / "x.md"
    file.write_text("# Just text\n\nNo items.", encoding="utf-8")
    with pytest.raises(DataError, match="no items were found"):
        importers.import_issue(file, "medium", tmp_path)


@pytest.fixture
def imported(tmp_path: Path, read: Read) -> Issue:
    return read(importers.import_issue(SAMPLE, "medium", tmp_path).path)


@needs_sample
def test_the_real_issue_has_its_sections_items_and_picks(imported: Issue) -> None:
    assert imported.identity == "2021-W08"
    assert imported.language == "zh"
    assert len(imported.sections) == 4
    assert [len(one.items) for one in imported.sections] == [8, 3, 2, 1]
    assert sorted(str(one.url) for one in imported.picks) == [
        "https://arxiv.org/abs/2101.11986",
        "https://arxiv.org/abs/2102.05095",
        "https://arxiv.org/abs/2102.06171",
    ]
    assert imported.sections[0].title == "机器学习论文"
    assert "检测艺术品中的人物" in [one.title for one in imported.items]


@needs_sample
def test_the_real_issue_keeps_captions_cards_and_closing_text(imported: Issue) -> None:
    captions = [one.caption for one in imported.items if one.caption is not None]
    assert len(captions) == 8
    assert all(one.source_id and one.title for one in captions)
    cards = [part for item in imported.items for part in item.body if isinstance(part, Card)]
    assert len(cards) == 6
    assert all(one.title and one.description for one in cards)
    assert [one.title for one in imported.closing][-1] == "关于我"
    past = [part for one in imported.closing for part in one.intro if isinstance(part, Card)]
    assert len(past) == 5


@needs_sample
def test_no_tracking_is_left_in_the_real_issue(imported: Issue, tmp_path: Path) -> None:
    text = imported.path.read_text(encoding="utf-8")
    assert "utm_" not in text
    assert "](/" not in text
    cards = json.loads(imported.path.with_name("2021-W08.cards.json").read_text(encoding="utf-8"))
    assert len(cards) == 11


@needs_sample
def test_the_mistakes_the_real_issue_went_out_with_are_found(imported: Issue) -> None:
    rules = {one.rule for one in check_issue(imported)}
    assert rules >= {
        "id-mismatch",
        "duplicate-caption",
        "missing-link",
        "malformed-url",
        "shortener",
        "link-text-mismatch",
        "missing-image",
        "no-alt",
    }


TWO_LEVELS = "# Papers\n\n## [A](https://e.com/a)\n\n![a](img/a.png)\n"


def test_an_import_leaves_another_picture_of_the_same_name_alone(tmp_path: Path) -> None:
    (tmp_path / "issues" / "img").mkdir(parents=True)
    (tmp_path / "issues" / "img" / "a.png").write_bytes(b"of another issue")
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "a.png").write_bytes(b"of this one")
    file = tmp_path / "in.md"
    file.write_text(TWO_LEVELS, encoding="utf-8")
    report = importers.import_issue(file, "markdown", tmp_path)
    assert (tmp_path / "issues" / "img" / "a.png").read_bytes() == b"of another issue"
    assert len(report.notes) == 1


def test_an_issue_may_be_imported_from_the_folder_it_belongs_to(tmp_path: Path) -> None:
    (tmp_path / "issues" / "img").mkdir(parents=True)
    (tmp_path / "issues" / "img" / "a.png").write_bytes(b"picture")
    file = tmp_path / "issues" / "x.md"
    file.write_text(f"---\nissue: x\n---\n{TWO_LEVELS}", encoding="utf-8")
    assert importers.import_issue(file, "markdown", tmp_path).notes == ()


def test_a_picture_written_into_the_text_is_no_file(tmp_path: Path) -> None:
    file = tmp_path / "in.md"
    file.write_text(f"{TWO_LEVELS}\n![b](data:image/png;base64,{'A' * 3000})\n", encoding="utf-8")
    (note,) = importers.import_issue(file, "markdown", tmp_path).notes
    assert note.startswith("2 pictures, not beside the file: img/a.png, data:image/png")
    assert len(note) < 100


def test_an_import_gets_the_identity_it_is_asked_for(tmp_path: Path, read: Read) -> None:
    file = tmp_path / "in.md"
    file.write_text(f'---\nissue: "old"\n---\n{TWO_LEVELS}\nissue: mine\n', encoding="utf-8")
    report = importers.import_issue(file, "markdown", tmp_path, "new")
    assert (report.path.name, read(report.path).identity) == ("new.md", "new")
    with pytest.raises(UsageError, match="is no identity"):
        importers.import_issue(file, "markdown", tmp_path, "../../outside")


@pytest.mark.parametrize("part", ["[](u)[#", "[](u)[# a\n", "![", "[a](", ">\n", "\n", "-", " "])
def test_no_text_keeps_an_importer_busy(tmp_path: Path, part: str) -> None:
    file = tmp_path / "in.md"
    text = f"# T\n\n## [a](https://e.com)\n\n[](u)[#{part * (200_000 // len(part))}b"
    file.write_text(text, encoding="utf-8")
    begun = time.process_time()
    importers.import_issue(file, "medium", tmp_path)
    importers.import_issue(file, "markdown", tmp_path, "again")
    assert time.process_time() - begun < 2
