from __future__ import annotations

from pathlib import Path

import pytest

from newsletter_bot.errors import DataError
from newsletter_bot.issues.find import find_issue, kind_of, refuse_twins, sequence_files
from newsletter_bot.issues.model import Kind


@pytest.mark.parametrize("name", ["x" * 300, "x/" * 3000, "a\0b", ""])
def test_a_name_that_no_file_can_have_is_no_issue(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="There is no issue"):
        find_issue(tmp_path, name)


def test_messages_for_newcomers_are_found_by_name_and_told_from_issues_by_place(
    tmp_path: Path,
) -> None:
    for name in ("welcome.md", "sequence/b.md", "sequence/a.md", "issues/welcome-back.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("---\nissue: x-" + Path(name).stem + "\n---\n")
    assert [one.name for one in sequence_files(tmp_path)] == ["welcome.md", "a.md", "b.md"]
    assert find_issue(tmp_path, "x-b") == tmp_path / "sequence/b.md"
    assert find_issue(tmp_path, "welcome.md") == tmp_path / "welcome.md"
    kinds = {one: kind_of(tmp_path, tmp_path / one) for one in ("welcome.md", "sequence/a.md")}
    assert kinds == {"welcome.md": Kind.WELCOME, "sequence/a.md": Kind.SEQUENCE}
    assert kind_of(tmp_path, tmp_path / "issues/welcome-back.md") is Kind.ISSUE
    assert kind_of(tmp_path, tmp_path / "issues/../sequence/new.md") is Kind.SEQUENCE
    assert kind_of(tmp_path, tmp_path / "sequence/deep/welcome.md") is Kind.ISSUE


def test_twins_are_refused_whatever_the_case_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "issues").mkdir()
    own, other = tmp_path / "welcome.md", tmp_path / "issues/x.md"
    own.write_text("Hello")
    other.write_text("---\nissue: y\n---\n")
    refuse_twins(tmp_path, own, "welcome")
    other.write_text("---\nissue: Welcome\n---\n")
    with pytest.raises(DataError, match="are both called 'welcome'"):
        refuse_twins(tmp_path, own, "welcome")
