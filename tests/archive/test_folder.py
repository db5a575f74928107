from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from newsletter_bot.archive.folder import MANIFEST, Changes, SiteFolder
from newsletter_bot.errors import DataError, UnavailableError


def _files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_files_are_written_once_and_left_alone_while_they_are_the_same(tmp_path: Path) -> None:
    site = SiteFolder(tmp_path / "site")
    files = {"index.html": b"home", "archive/a/index.html": b"a"}
    assert site.publish(files) == Changes(("archive/a/index.html", "index.html"), ())
    before = (site.root / "index.html").stat()
    assert site.publish({**files, "archive/a/index.html": b"b"}).written == (
        "archive/a/index.html",
    )
    assert (site.root / "index.html").stat() == before


def test_a_page_that_is_gone_is_removed_with_its_empty_folder(tmp_path: Path) -> None:
    site = SiteFolder(tmp_path)
    site.publish({"index.html": b"", "archive/a/index.html": b"", "archive/b/index.html": b""})
    changes = site.publish({"index.html": b"", "archive/b/index.html": b""})
    assert changes.removed == ("archive/a/index.html",)
    assert not (tmp_path / "archive/a").exists()
    assert (tmp_path / "archive/b/index.html").exists()


def test_files_of_others_are_kept(tmp_path: Path) -> None:
    site = SiteFolder(tmp_path)
    site.publish({"archive/a/index.html": b""})
    (tmp_path / "CNAME").write_text("news.example.com")
    (tmp_path / "archive/a/mine.txt").write_text("mine")
    site.publish({})
    assert _files(tmp_path) == {"CNAME", "archive/a/mine.txt", MANIFEST}


def test_a_foreign_file_in_the_way_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("the owner's home page")
    with pytest.raises(DataError, match=r"index\.html is in the way"):
        SiteFolder(tmp_path).publish({"a.html": b"", "index.html": b"ours"})
    assert _files(tmp_path) == {"index.html"}
    assert (tmp_path / "index.html").read_text() == "the owner's home page"


def test_a_folder_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.html").mkdir()
    with pytest.raises(DataError, match="in the way"):
        SiteFolder(tmp_path).publish({"index.html": b""})


@pytest.mark.parametrize("name", ["../out.html", "/tmp/out.html", "a/../../out.html", "", "a/.."])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="not a place inside"):
        SiteFolder(tmp_path / "site").publish({name: b"x"})
    assert _files(tmp_path) == set()


def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "site").mkdir()
    (tmp_path / "site/archive").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="not a place inside"):
        SiteFolder(tmp_path / "site").publish({"archive/index.html": b"x"})
    assert _files(tmp_path) == set()


def test_a_forged_list_of_files_removes_nothing_outside(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("precious")
    site = SiteFolder(tmp_path / "site")
    site.publish({})
    (site.root / MANIFEST).write_text(json.dumps({"files": ["../precious.txt"]}))
    with pytest.raises(DataError, match="not a place inside"):
        site.publish({})
    assert (tmp_path / "precious.txt").exists()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"files": 1}', "{"])
def test_a_broken_list_of_files_is_said_with_a_next_step(tmp_path: Path, content: str) -> None:
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(DataError, match="cannot be read") as caught:
        SiteFolder(tmp_path).publish({})
    assert "--out" in caught.value.next_step


def test_a_build_that_stops_half_way_leaves_whole_files_that_it_still_knows(tmp_path: Path) -> None:
    site = SiteFolder(tmp_path / "site")
    site.publish({"a.html": b"old"})
    with pytest.raises(UnavailableError, match="cannot be written"):
        site.publish({"a.html": b"new", "b.html": b"new", "c.png": tmp_path / "missing.png"})
    assert (site.root / "a.html").read_bytes() == b"new"
    assert site.publish({"a.html": b"new"}).removed == ("b.html",)
    assert _files(site.root) == {"a.html", MANIFEST}


def test_two_builds_at_once_do_not_mix(tmp_path: Path) -> None:
    def publish(word: str) -> None:
        for _ in range(20):
            SiteFolder(tmp_path).publish({f"{n}.html": word.encode() * 1000 for n in range(5)})

    threads = [threading.Thread(target=publish, args=(word,)) for word in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    contents = {(tmp_path / f"{n}.html").read_bytes() for n in range(5)}
    assert len(contents) == 1
    assert _files(tmp_path) == {MANIFEST, *(f"{n}.html" for n in range(5))}


def test_other_programs_may_read_what_was_written(tmp_path: Path) -> None:
    (tmp_path / "plain.html").write_text("")
    SiteFolder(tmp_path / "site").publish({"index.html": b""})
    written = (tmp_path / "site/index.html").stat().st_mode
    assert written == (tmp_path / "plain.html").stat().st_mode
