"""Notes that outlive the process: read by another, forgotten when settled, doubted when strange."""

from __future__ import annotations

from pathlib import Path

import pytest

from newsletter_bot.delivery.recorder import Recorder

RUN = "the run"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / ".sending-2026-W01"


def test_what_went_beyond_is_found_without_a_word_of_farewell(file: Path) -> None:
    with Recorder(file).recording(RUN) as recorder:
        for one in (7, 2**40, 9):
            recorder.beyond(one)
        recorder.settled([9])
        assert Recorder(file).found(RUN) == {7, 2**40}


def test_a_delivery_tried_again_is_noted_again(file: Path) -> None:
    with Recorder(file).recording(RUN) as recorder:
        recorder.beyond(7)
        recorder.settled([7, 8])
        recorder.beyond(7)
        assert Recorder(file).found(RUN) == {7}


def test_places_are_used_again(file: Path) -> None:
    with Recorder(file).recording(RUN) as recorder:
        for one in range(1, 30_000):
            recorder.beyond(one)
            recorder.settled([one])
        recorder.beyond(30_000)
        assert Recorder(file).found(RUN) == {30_000}


def test_there_is_room_for_as_many_as_all_sessions_may_hold(file: Path) -> None:
    many = range(1, 64 * 500 + 1)
    with Recorder(file).recording(RUN, len(many)) as recorder:
        for one in many:
            recorder.beyond(one)
        assert Recorder(file).found(RUN) == set(many)


def test_a_run_begins_with_empty_notes(file: Path) -> None:
    with Recorder(file).recording("the run before") as recorder:
        recorder.beyond(7)
    with Recorder(file).recording(RUN):
        assert Recorder(file).found(RUN) == set()
        assert Recorder(file).found("the run before") is None


def test_notes_that_are_missing_or_cut_off_are_no_notes(file: Path) -> None:
    assert Recorder(file).found(RUN) is None
    with Recorder(file).recording(RUN) as recorder:
        recorder.beyond(7)
    whole = file.read_bytes()
    for length in (0, 10, 64, 4096, len(whole) - 1):
        file.write_bytes(whole[:length])
        assert Recorder(file).found(RUN) is None
    file.write_bytes(whole)
    assert Recorder(file).found(RUN) == {7}


def test_a_folder_that_cannot_be_written_goes_without_notes(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere" / "file"
    with Recorder(nowhere).recording(RUN) as recorder:
        recorder.beyond(7)
        recorder.settled([7])
    assert Recorder(nowhere).found(RUN) is None


def test_the_notes_of_a_finished_issue_are_removed(file: Path) -> None:
    with Recorder(file).recording(RUN) as recorder:
        recorder.beyond(7)
    recorder.remove()
    assert not file.exists()
    recorder.remove()
