from __future__ import annotations

from pathlib import Path

import pytest

from newsletter_bot.errors import DataError
from newsletter_bot.issues.find import find_issue


@pytest.mark.parametrize("name", ["x" * 300, "x/" * 3000, "a\0b", ""])
def test_a_name_that_no_file_can_have_is_no_issue(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="There is no issue"):
        find_issue(tmp_path, name)
