"""A trend for people: one HTML file that opens offline, its pictures drawn as SVG, a column per series or run."""

from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from chaos.report import story, words
from chaos.report.series import picture, sentences
from chaos.trials import trend_picture
from chaos.trials.trend import Trend


def render(trend: Trend) -> str:
    """The page; every text of a record is escaped."""
    environment = Environment(
        loader=PackageLoader("chaos.report.series", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(seconds=words.seconds, plain=words.plain, share=words.share)
    return environment.get_template("trend.html.j2").render(
        trend=trend,
        verdict=trend_picture.verdict_of(trend.points[-1]),
        verdict_of=trend_picture.verdict_of,
        story=story,
        sentences=sentences,
        drawing=picture,
        pictures=trend_picture.pictures(trend),
        bars=trend_picture.verdict_bars(trend),
        dates=trend_picture.dates(trend),
        css=files("chaos.report").joinpath("report.css").read_text(),
    )
