"""The report of a load for people: one HTML file that opens offline, its pictures drawn as SVG."""

from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from chaos.measuring.performance import LATENCIES
from chaos.record.load_run import LoadRun
from chaos.report import words
from chaos.report.levels import picture, sentences


def render(record: LoadRun) -> str:
    """The page; every text of the record is escaped."""
    environment = Environment(
        loader=PackageLoader("chaos.report.levels", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(seconds=words.seconds, plain=words.plain, share=words.share)
    return environment.get_template("page.html.j2").render(
        load=record,
        latencies=LATENCIES,
        findings=list(sentences.findings(record)),
        sentences=sentences,
        drawing=picture,
        pictures=picture.of_load(record),
        css=files("chaos.report").joinpath("report.css").read_text(),
    )
