"""The reports of a run, from its folder alone: HTML for people, Markdown for jobs, JUnit for CI, series for graphs."""

from chaos.report import html, junit, prom, recorded, summary
from chaos.run_folder import RunFolder


def write_reports(folder: RunFolder) -> None:
    """Write `report.html`, `summary.md`, `junit.xml` and `run.prom` into a run folder.

    Raises:
        InputError: the journal is missing, not JSON, or of another schema.
        ValueError: a row or an event is not what a run writes, naming file and line.
    """
    write(folder, recorded.read(folder))


def write(folder: RunFolder, run: recorded.Recorded) -> None:
    """Write the reports of this run into a folder."""
    reports = {
        folder.report: html.render(run),
        folder.summary: summary.render(run),
        folder.outcome: prom.render(run),
        folder.path / "junit.xml": junit.render(run.journal),
    }
    for path, text in reports.items():
        # What a server sent as text may hold code points that no file can.
        path.write_text(text, encoding="utf-8", errors="replace")
