from __future__ import annotations

import csv
import mailbox
import socket
from collections.abc import Callable
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
Write = Callable[..., Path]

BAD_ISSUE = "---\nissue: x\ntitel: T\n---\nHello {{ nobody }}\n"


@pytest.fixture
def people(run: Run, newsletter: Path) -> Path:
    path = newsletter / "people.csv"
    path.write_text(
        "email,name,plan\nada@example.com,Ada,supporter\nbo@example.com,Bo,\nbad,No,\n"
        "ADA@example.com,Ada,supporter\n",
        encoding="utf-8",
    )
    assert run("subscribers", "import", str(path)).code == 0
    return path


def test_an_issue_goes_from_file_to_mailboxes_and_archive(
    run: Run, write_issue: Write, people: Path, newsletter: Path
) -> None:
    write_issue()
    assert run("check", "2026-W01", json=True).json == {"ok": True, "problems": []}
    sent = run("send", "2026-W01", "--yes", json=True)
    assert sent.code == 0
    assert {name: sent.json[name] for name in ("issue", "state", "planned", "accepted")} == {
        "issue": "2026-W01",
        "state": "sent",
        "planned": 2,
        "accepted": 2,
    }
    assert sent.json["balanced"] is True
    assert len(mailbox.Maildir(newsletter / "mail")) == 2
    assert (newsletter / "site" / "archive" / "2026-W01" / "index.html").exists()
    again = run("send", "2026-W01", "--yes", json=True)
    assert again.json == sent.json
    assert len(mailbox.Maildir(newsletter / "mail")) == 2
    status = run("status", "2026-W01", json=True)
    assert status.json == {**sent.json, "stuck": [], "subject_test": None}
    assert run("status", json=True).json["issues"] == [sent.json]
    assert "the numbers add up" in run("status", "2026-W01").out


def test_check_lists_problems_and_ends_with_1_on_errors(run: Run, write_issue: Write) -> None:
    path = write_issue()
    text = path.read_text(encoding="utf-8").replace("https://distill.pub/2018/", "https://t.co/")
    path.write_text(text.replace("1512.03385)", "1706.03762)"), encoding="utf-8")
    result = run("check", "2026-W01", json=True)
    assert result.code == 1
    assert result.json["ok"] is False
    assert [(one["line"], one["rule"], one["severity"]) for one in result.json["problems"]] == [
        (14, "id-mismatch", "error"),
        (22, "shortener", "warning"),
    ]
    assert "id-mismatch" in run("check", "2026-W01").out


def test_a_file_that_cannot_be_read_ends_with_65_and_writes_nothing(
    run: Run, write_issue: Write, newsletter: Path
) -> None:
    write_issue(BAD_ISSUE, "x")
    checked = run("check", "x", json=True)
    assert checked.code == 65
    assert [one["rule"] for one in checked.json["problems"]] == [
        "no-items",
        "unknown-key",
        "unknown-slot",
    ]
    rendered = run("render", "x", "--out", str(newsletter / "out"))
    assert rendered.code == 65
    assert "x.md:3: error: Unknown key 'titel'. Did you mean 'title'?" in rendered.err
    assert not (newsletter / "out").exists()
    assert run("send", "x", "--yes").code == 65


def test_errors_of_a_check_stop_send_but_not_render(
    run: Run, write_issue: Write, people: Path, newsletter: Path
) -> None:
    path = write_issue()
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("*[1512", "![alt](img/none.png)\n\n*[1512"), encoding="utf-8")
    result = run("send", "2026-W01", "--yes")
    assert result.code == 1
    assert "missing-image" in result.err
    assert run("status", "2026-W01", json=True).json["planned"] == 0
    assert run("render", "2026-W01", "--out", str(newsletter / "out")).code == 0
    assert "Picture missing: img/none.png" in (newsletter / "out" / "email.html").read_text()


def test_render_writes_its_four_files(run: Run, write_issue: Write, newsletter: Path) -> None:
    write_issue()
    result = run("render", "2026-W01", "--out", str(newsletter / "out"), json=True)
    assert set(result.json["files"]) == {"email.html", "email.txt", "message.eml", "web.html"}
    message = message_from_bytes((newsletter / "out" / "message.eml").read_bytes())
    assert message["Subject"] == "Residual learning, and one more for Ada"
    assert message.get_content_type() == "multipart/alternative"
    page = (newsletter / "out" / "web.html").read_text(encoding="utf-8")
    assert "Hello there, two things" in page
    assert "unsubscribe" not in page.lower()


def test_nothing_is_sent_without_an_approval(
    run: Run, write_issue: Write, people: Path, newsletter: Path
) -> None:
    write_issue()
    result = run("send", "2026-W01")
    assert result.code == 2
    assert "Add --yes" in result.err
    dry = run("send", "2026-W01", "--dry-run", json=True)
    assert (dry.json["count"], dry.json["skips"]) == (2, {})
    assert dry.json["segments"] == {"plan=supporter": 1}
    assert dry.json["subjects"][0] == {
        "to": "ada@example.com",
        "subject": "Residual learning, and one more for Ada",
    }
    assert not (newsletter / "mail").exists()
    status = run("status", "2026-W01", json=True).json
    assert (status["state"], status["planned"], status["balanced"]) == ("ready", 0, True)
    assert "nothing of it was sent" in run("status", "2026-W01").out


def test_a_newsletter_without_a_postal_address_is_not_sent(
    run: Run, write_issue: Write, people: Path, newsletter: Path
) -> None:
    write_issue()
    toml = newsletter / "newsletter.toml"
    toml.write_text(toml.read_text().replace('postal_address = "1-2-3 Example, Tokyo"', ""))
    result = run("send", "2026-W01", "--yes")
    assert result.code == 1
    assert "no-postal-address" in result.err


def test_an_absent_server_ends_with_75_and_loses_nothing(
    run: Run, write_issue: Write, people: Path, newsletter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newsletter_bot.delivery.relaying.relays.PAUSES", (0.01,))
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    toml = newsletter / "newsletter.toml"
    good = toml.read_text()
    smtp = f'kind = "smtp"\nhost = "127.0.0.1"\nport = {port}\ntls = "none"'
    toml.write_text(good.replace('kind = "maildir"\npath = "mail"', smtp))
    write_issue()
    result = run("send", "2026-W01", "--yes")
    assert result.code == 75
    assert f"cannot connect to 127.0.0.1:{port}: Connection refused" in result.err
    assert "2 of 2 are still owed" in result.err
    assert run("proof", "2026-W01", "--to", "ed@example.com").code == 75
    toml.write_text(good)
    assert run("send", "2026-W01", "--yes", json=True).json["accepted"] == 2


def test_an_edit_after_the_plan_does_not_reach_readers(
    run: Run, write_issue: Write, people: Path, newsletter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_issue()
    run("send", "2026-W01", "--yes")
    path.write_text(path.read_text(encoding="utf-8").replace("two things", "three"), "utf-8")
    assert "edited since it was planned" in run("send", "2026-W01", "--yes").out


def test_an_old_issue_that_is_broken_does_not_hold_up_the_mail(
    run: Run, write_issue: Write, people: Path
) -> None:
    path = write_issue()
    run("send", "2026-W01", "--yes")
    path.write_text("broken", encoding="utf-8")
    write_issue(name="2026-W02")
    result = run("send", "2026-W02", "--yes")
    assert result.code == 0
    assert "the archive was not built" in result.out
    assert run("archive", "build").code == 65


def test_proof_sends_one_copy(run: Run, write_issue: Write, newsletter: Path) -> None:
    write_issue()
    result = run("proof", "2026-W01", "--to", "ed@example.com", json=True)
    assert (result.code, result.json["outcome"]) == (0, "accepted")
    (message,) = mailbox.Maildir(newsletter / "mail")
    assert message["Subject"] == "[Proof] Residual learning, and one more for Ada"
    assert run("status", json=True).json == {"issues": []}


def test_import_gives_the_numbers_scripts_read(run: Run, people: Path) -> None:
    result = run("subscribers", "import", str(people), json=True)
    assert result.json["read"] == 4
    assert result.json["added"] == 0
    assert result.json["skipped"] == 3
    assert [one["line"] for one in result.json["rejected"]] == [4]
    rejected = people.with_name("people.csv.rejected.csv")
    with rejected.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["line", "reason", "email", "name", "plan"]
    assert rows[1][0] == "4"
    assert rows[1][2:] == ["bad", "No", ""]


def test_people_are_added_shown_unsubscribed_and_suppressed(run: Run) -> None:
    added = run("subscribers", "add", "ada@example.com", "--name", "Ada", "--field", "plan=free")
    assert added.code == 0
    shown = run("subscribers", "show", "ada@example.com", json=True).json
    assert (shown["name"], shown["fields"], shown["known"]) == ("Ada", {"plan": "free"}, True)
    assert run("subscribers", "unsubscribe", "ada@example.com", json=True).json["unsubscribed"] == 1
    again = run("subscribers", "add", "ada@example.com", json=True)
    assert again.json["outcome"] == "unsubscribed"
    assert run("subscribers", "suppress", "eve@example.com", "--reason", "spam").code == 0
    assert run("subscribers", "show", "eve@example.com", json=True).json == {
        "address": "eve@example.com",
        "known": False,
        "suppressed": "spam",
    }
    stats = run("subscribers", "stats", json=True).json
    assert stats["lists"] == {"weekly": {"unsubscribed": 1}}
    assert stats["suppressed"] == 1


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("subscribers", "add", "nobody"), 65, "That is no address"),
        (("subscribers", "add", "a@example.com", "--list", "x"), 2, "Known lists: weekly"),
        (("subscribers", "add", "a@example.com", "--field", "x=1"), 2, "There is no field 'x'"),
        (("subscribers", "add", "a@example.com", "--name", "a\nb"), 65, "line break"),
        (("subscribers", "import", "none.csv"), 65, "cannot be read"),
        (("check", "2026-W99"), 65, "There is no issue '2026-W99'"),
        (("resolve", "2026-W99", "--unknown", "skip"), 65, "There is no issue"),
        (("import", "issue", "none.md", "--from", "medium"), 65, "cannot be read"),
        (("import", "issue", "none.md", "--from", "revue"), 2, "Write --from"),
        (("no-such-command",), 2, "No such command"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_exit_code(
    run: Run, words: tuple[str, ...], code: int, sentence: str
) -> None:
    result = run(*words)
    assert result.code == code
    assert sentence in result.err
    assert "Traceback" not in result.err


def test_export_writes_a_csv_that_can_be_imported(run: Run, people: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    assert run("subscribers", "export", "--out", str(out), json=True).json["exported"] == 2
    again = run("subscribers", "import", str(out), json=True).json
    assert (again["added"], again["updated"], again["rejections"]) == (0, 0, 0)
    assert run("subscribers", "export", json=True).code == 2


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            'name = "Weekly ML News"',
            'nam = "x"',
            "'newsletter.nam'. Did you mean 'name'",
        ),
        ("[subscribers]", "[subscriber]", "unknown key 'subscriber'. Did you mean 'subscribers'"),
        ('path = "mail"', 'paht = "mail"', "unknown key 'transport.paht'. Did you mean 'path'"),
        ('kind = "maildir"', 'kind = "pigeon"', "'pigeon' is not a transport"),
        ('id = "weekly"', 'id = "Week ly"', "lists.0.id"),
        ("Asia/Tokyo", "Asia/Tokio", "not a time zone"),
        ("https://news.example.com", "news.example.com", "newsletter.url"),
        ("News <news@news.example.com>", r"News\r\nBcc: <a@b.example>", "line break"),
        ("News <news@news.example.com>", "News", "holds no address"),
        ("[transport]", "[transport", "not valid TOML"),
        ('kind = "maildir"', 'kind = "maildir"\nrate = "fast"', "transport.rate"),
    ],
)
def test_a_wrong_configuration_ends_with_78_naming_file_and_key(
    run: Run, write_issue: Write, newsletter: Path, old: str, new: str, sentence: str
) -> None:
    write_issue()
    toml = newsletter / "newsletter.toml"
    toml.write_text(toml.read_text().replace(old, new, 1))
    result = run("proof", "2026-W01", "--to", "ed@example.com")
    assert result.code == 78
    assert sentence in result.err
    assert "newsletter.toml" in result.err


def test_a_folder_without_a_newsletter_is_told_how_to_get_one(run: Run, tmp_path: Path) -> None:
    result = run("status", folder=tmp_path / "nowhere")
    assert result.code == 78
    assert "make one with `init DIR`" in result.err


def test_a_missing_or_short_secret_is_never_made_anew(
    run: Run, write_issue: Write, newsletter: Path
) -> None:
    write_issue()
    (newsletter / "secret.key").unlink()
    result = run("subscribers", "stats")
    assert result.code == 78
    assert not (newsletter / "secret.key").exists()
    (newsletter / "secret.key").write_text("short")
    assert "shorter than 32" in run("subscribers", "stats").err


def test_the_environment_wins_over_the_file(
    run: Run, write_issue: Write, newsletter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_issue()
    monkeypatch.setenv("NEWSLETTER_BOT_TRANSPORT__PATH", "elsewhere")
    (newsletter / "secret.key").unlink()
    monkeypatch.setenv("NEWSLETTER_BOT_SECRET", "f" * 64)
    assert run("proof", "2026-W01", "--to", "ed@example.com").code == 0
    assert len(mailbox.Maildir(newsletter / "elsewhere")) == 1


def test_init_and_new_make_a_newsletter_that_can_be_written_in(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "fresh"
    assert run("init", str(folder)).code == 0
    assert (folder / "secret.key").stat().st_mode & 0o077 == 0
    assert run("init", str(folder)).code == 65
    made = run("new", "2027-W01", json=True, folder=folder)
    assert made.json["issue"] == "2027-W01"
    checked = run("check", "2027-W01", json=True, folder=folder)
    assert checked.code == 0
    assert {one["rule"] for one in checked.json["problems"]} == {"preheader-length"}
    assert run("new", "2027-W01", folder=folder).code == 65


def test_an_imported_issue_can_be_archived_by_name(
    run: Run, newsletter: Path, tmp_path: Path
) -> None:
    file = tmp_path / "old.md"
    file.write_text("# Old News, Week 2, 2020\n\n## S\n\n### [I](https://e.com)\n\ntext\n", "utf-8")
    made = run("import", "issue", str(file), "--from", "medium", json=True).json
    assert (made["sections"], made["items"]) == (1, 1)
    assert run("archive", "build", json=True).json["pages"] == 0
    assert run("archive", "build", "2020-W02", json=True).json["pages"] == 1


def test_transports_are_listed_with_their_options(run: Run) -> None:
    kinds = {
        one["kind"]: one["options"]
        for one in run("transports", "list", json=True).json["transports"]
    }
    assert kinds["maildir"] == ["path"]
    assert "tls" in kinds["smtp"]


def test_every_command_has_help(run: Run) -> None:
    result = run("--help")
    assert result.code == 0
    for name in ("check", "demo", "send", "status", "subscribers", "preview"):
        assert name in result.out


def test_markup_in_a_name_is_shown_as_it_is(run: Run) -> None:
    run("subscribers", "add", "ada@example.com", "--name", "[red]Ada[/] {{ 1 }}")
    assert "[red]Ada[/] {{ 1 }}" in run("subscribers", "show", "ada@example.com").out


def test_an_option_of_ours_behind_the_command_is_told_its_place(run: Run) -> None:
    result = run("report", "2026-W01", "--json")
    assert result.code == 2
    assert "It stands before the command: newsletter-bot --json report …" in result.err
