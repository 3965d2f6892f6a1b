"""A trend for people: one HTML file that opens offline, its pictures drawn as SVG, a column per series or run."""

from chaos.report import story
from chaos.report.series import picture, sentences
from chaos.report.templates import environment, stylesheet
from chaos.trials import trend_picture
from chaos.trials.trend import Trend


def render(trend: Trend) -> str:
    """The page; every text of a record is escaped."""
    return (
        environment("chaos.report.series")
        .get_template("trend.html.j2")
        .render(
            trend=trend,
            verdict=trend_picture.verdict_of(trend.points[-1]),
            verdict_of=trend_picture.verdict_of,
            story=story,
            sentences=sentences,
            drawing=picture,
            pictures=trend_picture.pictures(trend),
            bars=trend_picture.verdict_bars(trend),
            dates=trend_picture.dates(trend),
            css=stylesheet(),
        )
    )
