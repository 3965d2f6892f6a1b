"""What a load came to on a terminal: one rate as a table of latencies, several as a line each."""

from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from chaos.levels.folder import LoadFolder
from chaos.measuring.performance import LATENCIES
from chaos.record.load_run import Latency, Level, LoadRun
from chaos.report import few
from chaos.report.levels import sentences
from chaos.report.words import plain, seconds, share

_MEANINGS = {
    "ttft": "time to first token",
    "tpot": "time per output token",
    "itl": "between two tokens",
    "e2e": "whole answer",
}
_MOST_SAID = 3


def print_load(record: LoadRun, folder: LoadFolder, file: TextIO | None = None) -> None:
    """Print what came of a load, within 80 columns."""
    console = Console(file=file, highlight=False)
    console.print("")
    for sentence in sentences.findings(record):
        console.print(Text(sentence))
    console.print("")
    console.print(_latencies(record.levels[0]) if len(record.levels) == 1 else _levels(record))
    if any(few.is_weak(level.ttft.p99_s, level.planned) for level in record.levels):
        console.print(Text(few.SAID, style="dim"))
    console.print("")
    for level in record.levels:
        for words, count in list(level.said.items())[:_MOST_SAID]:
            console.print(Text(f"refused at {plain(level.rate_per_s)}/s, {count:,} times: {words}"))
    console.print(Text(sentences.objective(record), style="dim"))
    for name, path in (("page", folder.page), ("table", folder.table), ("record", folder.record)):
        # On one line however long: a path broken in two cannot be copied.
        console.print(Text.assemble((f"{name:8}", "dim"), str(path)), soft_wrap=True)


def _latencies(level: Level) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("")
    for head in ("mean", "p50", "p90", "p95", "p99"):
        table.add_column(head, justify="right")
    for name in LATENCIES:
        found: Latency = getattr(level, name)
        figures = map(seconds, (found.mean_s, found.p50_s, found.p90_s, found.p95_s))
        table.add_row(f"{name.upper()}, {_MEANINGS[name]}", *figures, few.p99(found.p99_s, level.planned))
    lag = few.p99(level.lag_p99_s, level.planned)
    facts = [
        (
            "requests",
            f"{level.planned:,} planned, {level.ok:,} ok, {level.good:,} good ({share(level.goodput)})",
        ),
        ("outcomes", ", ".join(f"{name} {count:,}" for name, count in level.outcomes.items())),
        ("throughput", f"{plain(level.requests_per_s)} requests/s, {_tokens(level)}"),
        (
            "in flight",
            f"{plain(level.in_flight)} on average; generator lag p99 {lag}",
        ),
    ]
    whole = Table.grid()
    whole.add_row(table)
    whole.add_row("")
    lines = Table.grid(padding=(0, 2, 0, 0))
    lines.add_column(style="dim", no_wrap=True)
    for head, said in facts:
        lines.add_row(head, Text(said))
    whole.add_row(lines)
    return whole


def _levels(record: LoadRun) -> Table:
    """A line each; what does not fit into 80 columns is in the page."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for head in ("rate/s", "good", "TTFT p50", "p99", "TPOT p50", "e2e p99", "tokens/s"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for level in record.levels:
        marks = [
            word
            for word, at in (("highest", record.highest_per_s), ("knee", record.knee_per_s))
            if level.rate_per_s == at
        ]
        table.add_row(
            plain(level.rate_per_s),
            share(level.goodput),
            seconds(level.ttft.p50_s),
            few.p99(level.ttft.p99_s, level.planned),
            seconds(level.tpot.p50_s),
            few.p99(level.e2e.p99_s, level.planned),
            plain(round(level.output_tokens_per_s)),
            f"◂ {', '.join(marks)}" if marks else "",
            style="" if level.carried else "dim",
        )
    return table


def _tokens(level: Level) -> str:
    prompts = level.prompt_tokens_per_s
    read = "" if prompts is None else f", {plain(prompts)} prompt tokens/s"
    return f"{plain(level.output_tokens_per_s)} output tokens/s{read}"
