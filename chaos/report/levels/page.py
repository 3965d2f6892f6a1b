"""The report of a load for people: one HTML file that opens offline, its pictures drawn as SVG."""

from chaos.measuring.performance import LATENCIES
from chaos.record.load_run import LoadRun
from chaos.report import few
from chaos.report.levels import picture, sentences
from chaos.report.templates import environment, stylesheet


def render(record: LoadRun) -> str:
    """The page; every text of the record is escaped."""
    return (
        environment("chaos.report.levels")
        .get_template("page.html.j2")
        .render(
            load=record,
            latencies=LATENCIES,
            findings=list(sentences.findings(record)),
            sentences=sentences,
            drawing=picture,
            few=few,
            weak=any(few.is_weak(level.ttft.p99_s, level.planned) for level in record.levels),
            pictures=picture.of_load(record),
            css=stylesheet(),
        )
    )
