"""The reports of a series of trials, from its record alone: HTML for people, Markdown for jobs, JUnit for CI."""

from chaos.record.trials import Series
from chaos.report.series import junit, page, summary
from chaos.run_folder import SeriesFolder


def write_series_reports(folder: SeriesFolder, series: Series) -> None:
    """Write `report.html`, `summary.md` and `junit.xml` into the folder of a series."""
    reports = {
        folder.report: page.render(series),
        folder.summary: summary.render(series),
        folder.path / "junit.xml": junit.render(series),
    }
    for path, text in reports.items():
        path.write_text(text, encoding="utf-8", errors="replace")
