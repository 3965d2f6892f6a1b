"""The report of a series for people: one HTML file that opens offline, its pictures drawn as SVG."""

from chaos.record.trials import Series
from chaos.report import story
from chaos.report.series import picture, sentences
from chaos.report.templates import environment, stylesheet


def render(series: Series) -> str:
    """The page; every text of the record is escaped."""
    largest_s = picture.longest_s(series)
    return (
        environment("chaos.report.series")
        .get_template("page.html.j2")
        .render(
            series=series,
            story=story,
            sentences=sentences,
            drawing=picture,
            pictures=picture.of_series(series),
            curves=[(one.name, picture.steps(one, largest_s)) for one in series.recoveries],
            curve_ticks=picture.curve_ticks(largest_s),
            css=stylesheet(),
        )
    )
