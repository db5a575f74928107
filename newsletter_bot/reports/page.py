"""A report or a comparison as one file of HTML that loads nothing: no script, no other file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from newsletter_bot.rendering.theme import Theme
from newsletter_bot.rendering.web_page import style_hash
from newsletter_bot.reports import plots, tables
from newsletter_bot.reports.model import DAYS, ENOUGH, KNOWN_BY, written
from newsletter_bot.reports.report import BAD_RATE, GOOD_RATE, UNRELIABLE, Comparison, Report
from newsletter_bot.reports.standing import standing
from newsletter_bot.reports.words import clean, span
from newsletter_bot.shipped import template_folders

_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; style-src {}"


class Page:
    """Writes the pages of one newsletter; its own `templates/reports/` win over ours."""

    def __init__(self, newsletter: str, folder: Path) -> None:
        """`newsletter` is its name, `folder` where it is kept."""
        self._newsletter = clean(newsletter)
        folders = template_folders(folder, "reports")
        self._theme = Theme("reports", tuple(one for one in folders if one.is_dir()))

    def report(self, report: Report) -> str:
        """Write the page of one issue."""
        return self._fill("report.html.j2", report=report, standing=standing(report))

    def comparison(self, comparison: Comparison) -> str:
        """Write the page of several issues."""
        trends = plots.trends(comparison.rows) if comparison.rows else []
        return self._fill("compare.html.j2", comparison=comparison, trends=trends)

    def _fill(self, template: str, **values: Any) -> str:
        style = self._sheet()
        shown = {
            "newsletter": self._newsletter,
            "style": style,
            "policy": _POLICY.format(style_hash(style)),
            "plots": plots,
            "tables": tables,
            "span": span,
            "written": written,
            "limits": {"good": GOOD_RATE, "bad": BAD_RATE},
            "rules": {"days": DAYS, "enough": ENOUGH, "known_by": KNOWN_BY},
            "unreliable": UNRELIABLE,
        }
        return self._theme.render(template, {**shown, **values})

    def _sheet(self) -> str:
        found = (one / "report.css" for one in self._theme.folders)
        return next(one for one in found if one.is_file()).read_text(encoding="utf-8").strip()
