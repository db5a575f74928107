from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, text

from newsletter_bot.errors import UnavailableError
from newsletter_bot.storage import instance as module
from newsletter_bot.storage.engine import open_engine
from newsletter_bot.storage.instance import Instance
from newsletter_bot.storage.tables import issues, renderings


def used(engine: Engine) -> None:
    """Let a database look as after an issue."""
    with engine.begin() as connection:
        connection.execute(insert(renderings).values(hash="a", content="", made_at=0))
        connection.execute(
            insert(issues).values(
                identity="2026-W01", title="", state="sent", rendering="a", lists=[], planned_at=0
            )
        )


def test_a_new_newsletter_belongs_to_the_machine_that_marks_it_first(
    engine: Engine, tmp_path: Path
) -> None:
    here, there = Instance(engine, tmp_path / "here"), Instance(engine, tmp_path / "there")
    assert here.objection() == ""
    assert here.mark() == ""
    for _ in range(3):
        assert here.mark() == ""
    assert "another machine" in there.objection()
    assert "another machine" in there.mark()
    assert here.objection() == ""


def test_several_processes_of_a_machine_may_mark_in_turn(engine: Engine, tmp_path: Path) -> None:
    one, two = Instance(engine, tmp_path), Instance(engine, tmp_path)
    assert [one.mark(), two.mark(), one.mark(), two.mark()] == ["", "", "", ""]


def test_a_second_machine_is_adopted_beside_the_first(engine: Engine, tmp_path: Path) -> None:
    first, second = Instance(engine, tmp_path / "1"), Instance(engine, tmp_path / "2")
    first.mark()
    second.adopt()
    assert [first.mark(), second.mark(), first.mark()] == ["", "", ""]


def test_a_restored_backup_is_known_until_it_is_adopted(tmp_path: Path) -> None:
    engine = open_engine("sqlite:///news.db", tmp_path)
    here = Instance(engine, tmp_path / "state")
    here.mark()
    engine.dispose()
    shutil.copy(tmp_path / "news.db", tmp_path / "backup.db")
    here.mark()
    engine.dispose()
    for name in ("news.db-wal", "news.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "backup.db", tmp_path / "news.db")
    assert "restored from a backup" in here.objection()
    assert "restored from a backup" in here.mark()
    here.adopt()
    assert here.mark() == ""
    engine.dispose()


def test_a_backup_from_before_the_service_is_known_too(tmp_path: Path) -> None:
    engine = open_engine("sqlite:///news.db", tmp_path)
    used(engine)
    here = Instance(engine, tmp_path / "state")
    here.mark()
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM instances"))
    assert "older than what this machine did" in here.objection()
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM issues"))
    assert here.objection() == ""  # begun anew
    engine.dispose()


class Killed(BaseException):
    """The process ended here."""


@pytest.mark.parametrize("writes", [1, 2])
def test_a_kill_between_the_two_marks_is_no_copy(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    here = Instance(engine, tmp_path)
    here.mark()
    write = here._write
    for _ in range(3):
        done: list[int] = []

        def killed(known: dict[str, object], done: list[int] = done) -> None:
            write(known)
            done.append(1)
            if len(done) == writes:
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(here, "_write", killed)
            with pytest.raises(Killed):
                here.mark()
        assert here.objection() == ""
    assert here.mark() == ""


def test_a_cloned_disk_is_known_by_its_network_cards(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_hardware", lambda: {"old", "other"})
    here = Instance(engine, tmp_path)
    here.mark()
    monkeypatch.setattr(module, "_hardware", lambda: {"other", "new"})
    assert here.objection() == ""
    monkeypatch.setattr(module, "_hardware", lambda: {"new"})
    assert "cloned" in here.objection()
    here.adopt()
    assert here.objection() == ""


def test_the_file_is_whole_whatever_it_was_before(engine: Engine, tmp_path: Path) -> None:
    here = Instance(engine, tmp_path)
    here.mark()
    file = next(tmp_path.glob("*.json"))
    assert set(json.loads(file.read_text())) == {"machine", "hardware", "marks"}
    file.write_text("{broken", encoding="utf-8")
    assert "another machine" in here.objection()


def test_a_folder_that_cannot_be_written_is_explained(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UnavailableError, match="cannot be written") as error:
        Instance(engine, tmp_path / "file" / "state").mark()
    assert "service.state_folder" in error.value.next_step
