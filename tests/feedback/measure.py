"""Fetch the mails of flufl.bounce's own tests, and print how well they are read.

    python -m tests.feedback.measure [--half development|held-out] [--wrong]

The mails (117, most of 1998 to 2020) and the addresses that must be found are in the package's
source on PyPI, which pip downloads into .tools; nothing of it is kept here. What each mail is and
whose fault it tells was written down by hand in flufl.json. The rules were written by looking at
the development half; the held-out half was read when they were done, and is not to be read again.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import subprocess
import sys
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from newsletter_bot.feedback.mails.read import read_mail
from tests.feedback.figures import Figures, Wanted

VERSION = "6.0.0"
FOLDER = Path(__file__).parents[2] / ".tools" / "flufl"
HALVES = ("development", "held-out")
_SHARE = 154  # of 256: what is looked at while rules are written


def main() -> None:
    """Print the figures of one half, or of both and together."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", choices=HALVES)
    parser.add_argument("--wrong", action="store_true", help="name what was read wrongly")
    asked = parser.parse_args()
    for half in [asked.half] if asked.half else [*HALVES, "all"]:
        figures = measure(half)
        print(f"{half}\n  " + "\n  ".join(figures.lines()))  # noqa: T201 - what it is for
        if asked.wrong:
            print("    " + "\n    ".join(figures.wrong))  # noqa: T201 - what it is for


def measure(half: str) -> Figures:
    """Read a half of the mails, with each kind of line end."""
    figures = Figures()
    source = _source()
    addresses = _addresses(source / "tests" / "test_detectors.py")
    for name, kind, fault in _labels():
        if half not in {"all", half_of(name)}:
            continue
        data = (source / "tests" / "data" / f"{name}.txt").read_bytes()
        wanted = tuple(sorted(addresses[name]))
        reading = read_mail(data)
        figures.count(Wanted(name, kind, wanted, (fault,) * len(wanted) if fault else ()), reading)
        lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        for end in (b"\n", b"\r\n", b"\r"):
            if read_mail(lines.replace(b"\n", end)) != reading:
                figures.wrong.append(f"{name}: line ends make a difference")
    return figures


def half_of(name: str) -> str:
    """Tell in which half a mail is: by its name's hash, so that nobody chose."""
    return HALVES[hashlib.sha256(f"f_{name}.txt".encode()).digest()[0] >= _SHARE]


def _source() -> Path:
    folder = FOLDER / f"flufl_bounce-{VERSION}"
    if not folder.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        words = ["download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", str(FOLDER)]
        subprocess.run(
            [sys.executable, "-m", "pip", *words, f"flufl.bounce=={VERSION}"], check=True
        )
        with tarfile.open(next(FOLDER.glob("*.tar.gz"))) as archive:
            archive.extractall(FOLDER, filter="data")
    return folder


def _addresses(tests: Path) -> dict[str, set[str]]:
    """Return the addresses by mail: the table that the package's own tests go through."""
    found: dict[str, set[str]] = defaultdict(set)
    for node in ast.parse(tests.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DETECTORS":
            for _, mail, addresses, _ in ast.literal_eval(node.value):
                found[mail.removesuffix(".txt")] |= {one.decode() for one in addresses}
    return found


def _labels() -> Iterator[tuple[str, str, str]]:
    text = Path(__file__).with_name("flufl.json").read_text(encoding="utf-8")
    for name, label in json.loads(text).items():
        kind, _, fault = label.partition(" ")
        yield name, kind, fault


if __name__ == "__main__":
    main()
