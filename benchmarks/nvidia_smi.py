"""What nvidia-smi says while something else is measured: one row every 200 ms, each with the time it was read at."""

import csv
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

PERIOD_MS = 200
COLUMNS = (
    *("timestamp", "uuid", "memory.used", "memory.total", "memory.reserved", "utilization.gpu", "power.draw"),
    *("temperature.gpu", "clocks.sm", "clocks.mem", "clocks_event_reasons.active"),
    *("ecc.errors.corrected.volatile.total", "ecc.errors.uncorrected.volatile.total"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One reading of one device; values as nvidia-smi prints them, without units."""

    at_s: float
    """Unix seconds."""
    values: Mapping[str, str]


@contextmanager
def watched(file: Path) -> Iterator[None]:
    """Let nvidia-smi write its CSV into this file meanwhile."""
    command = ["nvidia-smi", f"--query-gpu={','.join(COLUMNS)}", "--format=csv,nounits", f"-lms={PERIOD_MS}"]
    with file.open("w") as output, subprocess.Popen(command, stdout=output) as process:
        try:
            yield
        finally:
            process.terminate()


def rows(file: Path) -> Sequence[Row]:
    """What `watched` wrote; a last line that was cut short is left out. Times are the machine's local ones."""
    with file.open(newline="") as text:
        lines = [[cell.strip() for cell in line] for line in csv.reader(text)]
    found = [dict(zip(COLUMNS, line, strict=True)) for line in lines[1:] if len(line) == len(COLUMNS)]
    return [Row(_unix_s(values["timestamp"]), values) for values in found]


def _unix_s(text: str) -> float:
    return datetime.strptime(text, "%Y/%m/%d %H:%M:%S.%f").astimezone().timestamp()
