"""The report of a series for people: one HTML file that opens offline, its pictures drawn as SVG."""

from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from chaos.record.trials import Series
from chaos.report import story, words
from chaos.report.series import picture, sentences


def render(series: Series) -> str:
    """The page; every text of the record is escaped."""
    environment = Environment(
        loader=PackageLoader("chaos.report.series", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(seconds=words.seconds, plain=words.plain, share=words.share)
    largest_s = picture.longest_s(series)
    return environment.get_template("page.html.j2").render(
        series=series,
        story=story,
        sentences=sentences,
        drawing=picture,
        pictures=picture.of_series(series),
        curves=[(one.name, picture.steps(one, largest_s)) for one in series.recoveries],
        curve_ticks=picture.curve_ticks(largest_s),
        css=files("chaos.report").joinpath("report.css").read_text(),
    )
