"""The reports of a load: a page for people, a table for a spreadsheet, from its record alone."""

from chaos.levels.folder import LoadFolder
from chaos.record.load_run import LoadRun
from chaos.report.levels import page, table


def write_load_reports(folder: LoadFolder, record: LoadRun) -> None:
    """Write `performance.html` and `performance.csv`."""
    folder.page.write_text(page.render(record), encoding="utf-8", errors="replace")
    folder.table.write_text(table.render(record), encoding="utf-8", errors="replace")
