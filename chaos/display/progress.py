"""What a watcher of a run sees: live lines on a terminal, one plain line per phase elsewhere.

Colour appears on terminals alone and NO_COLOR is respected: rich does both.
"""

import threading
import time
from typing import Protocol, TextIO, TypedDict, Unpack

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from chaos.report.words import seconds


class Facts(TypedDict, total=False):
    """What is known of the run by now; a fact that is not named again keeps its last value."""

    total_s: float | None
    """How long the phase is planned to last; forgotten when the next one begins."""
    rate: float
    """Requests per second that ended lately."""
    ttft_p99_s: float | None
    """Infinite when failures reach the percentile, None before the first answer."""
    errors: int
    """Failed requests so far."""
    ready: int
    """Replicas ready now."""
    wanted: int
    """Replicas there should be."""
    victims: tuple[str, ...]
    """Replicas that a fault hit."""
    disturbed_s: float | None
    """For how long the service has been disturbed; None while it is not."""


class Progress(Protocol):
    """Somebody to tell how a run goes."""

    def phase(self, name: str, detail: str = "") -> None:
        """A phase begins; the one before it is over."""

    def update(self, **facts: Unpack[Facts]) -> None:
        """Something changed within the phase: cheap, from any thread."""

    def note(self, text: str) -> None:
        """Something to know beside the phases: it stays on the screen. From any thread."""

    def close(self) -> None:
        """Leave the terminal as it was; harmless a second time."""


class QuietProgress:
    """For logs and pipes: one line per phase, nothing else."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def phase(self, name: str, detail: str = "") -> None:
        """Print the phase's one line."""
        print(f"aftershock: {name}" + (f": {detail}" if detail else ""), file=self._file, flush=True)

    def update(self, **facts: Unpack[Facts]) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Print it, as a phase's line is."""
        print(f"aftershock: {text}", file=self._file, flush=True)

    def close(self) -> None:
        """Nothing is open."""


class TerminalProgress:
    """For people: a line for each phase that is over, and two lines that live for the one that runs."""

    def __init__(self, console: Console) -> None:
        self._lock = threading.Lock()
        self._facts: Facts = {}
        self._name = self._detail = ""
        self._began_s = time.monotonic()
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True, get_renderable=self._render)

    def phase(self, name: str, detail: str = "") -> None:
        """Leave the finished phase's line behind and begin the next."""
        self._turn_to(name, detail)
        self._live.start()

    def update(self, **facts: Unpack[Facts]) -> None:
        """Show these facts at the next refresh, at most a quarter of a second away."""
        with self._lock:
            self._facts.update(facts)

    def note(self, text: str) -> None:
        """Print it above the lines that live."""
        self._console.print(Text(text), soft_wrap=True)

    def close(self) -> None:
        """Leave the last phase's line behind and give the cursor back."""
        self._turn_to("", "")
        self._live.stop()

    def _turn_to(self, name: str, detail: str) -> None:
        with self._lock:
            elapsed = Text(f"{time.monotonic() - self._began_s:.1f} s", style="dim")
            over = _row(Text("\N{BULLET}", style="dim"), self._name, Text(self._detail, style="dim"), elapsed)
            had_name, self._name, self._detail = bool(self._name), name, detail
            self._began_s = time.monotonic()
            self._facts.pop("total_s", None)
        if had_name:
            self._live.refresh()
            self._console.print(over)

    def _render(self) -> Group:
        with self._lock:
            if not self._name:
                return Group()
            elapsed_s, total_s = time.monotonic() - self._began_s, self._facts.get("total_s")
            clock = f"{elapsed_s:.0f} / {total_s:.0f} s" if total_s else f"{elapsed_s:.0f} s"
            head = _row(Text("▸", style="bold cyan"), self._name, Text(self._detail), Text(clock))
            facts = Text(" · ", no_wrap=True, overflow="ellipsis").join(_fact_texts(self._facts))
            bar = ProgressBar(total=total_s, completed=elapsed_s, width=12) if total_s else Text("")
            tail = Table.grid(padding=(0, 1, 0, 0))
            tail.add_row(" ", bar, facts) if total_s else tail.add_row(" ", facts)
            return Group(head, tail)


def for_stream(file: TextIO) -> Progress:
    """Live lines where `file` is a terminal that can move its cursor, else one plain line per phase."""
    console = Console(file=file, highlight=False)
    return (
        TerminalProgress(console)
        if console.is_terminal and not console.is_dumb_terminal
        else QuietProgress(file)
    )


def _row(mark: Text, name: str, detail: Text, clock: Text) -> Table:
    row = Table.grid(padding=(0, 1), expand=True)
    row.add_column(width=1)
    row.add_column(width=10, no_wrap=True)
    row.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    row.add_column(justify="right", no_wrap=True)
    row.add_row(mark, Text(name, style="bold"), detail, clock)
    return row


def _fact_texts(facts: Facts) -> list[Text]:
    texts = []
    if "rate" in facts:
        texts.append(Text(f"{facts['rate']:.1f} req/s"))
    if "ttft_p99_s" in facts:
        texts.append(Text(f"TTFT p99 {seconds(facts['ttft_p99_s'])}"))
    if "errors" in facts:
        texts.append(Text(f"{facts['errors']} failed", style="yellow" if facts["errors"] else ""))
    if facts.get("disturbed_s") is not None:
        texts.append(Text(f"disturbed for {seconds(facts['disturbed_s'])}", style="bold red"))
    if facts.get("wanted") and "ready" in facts:
        short = facts["ready"] < facts["wanted"]
        texts.append(Text(f"replicas {facts['ready']}/{facts['wanted']}", style="yellow" if short else ""))
    if facts.get("victims"):
        texts.append(Text(f"hit {len(facts['victims'])}", style="magenta"))
    return texts
