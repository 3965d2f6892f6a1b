"""The display is run on a real pseudo-terminal and on a pipe."""

import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chaos.record import journal as journals
from chaos.record.journal import Journal
from chaos.report.terminal import print_summary
from chaos.run_folder import RunFolder

SAMPLE = RunFolder(Path(__file__).parent / "data" / "run-sample")
RUN = """
import sys
from chaos.display.progress import for_stream
progress = for_stream(sys.stderr)
progress.phase("baseline", "steady load")
progress.update(total_s=25.0, rate=18.25, ttft_p99_s=0.0421, errors=0, ready=10, wanted=10)
sys.stdin.readline()  # until the line has been seen
progress.phase("fault", "pod-kill")
progress.update(ttft_p99_s=float("inf"), errors=4, ready=7, victims=("a", "b", "c"))
sys.stdin.readline()
progress.close()
progress.close()
"""
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


SEEN = ("10/10", "hit 3")
"""What the live line says before the run goes on."""


def on_terminal(environment: dict[str, str], awaited: tuple[str, ...] = SEEN) -> str:
    """Everything that the display sends to a terminal of 80 columns; each awaited text lets it go on."""
    ours, theirs = pty.openpty()
    settings = {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24", **environment}
    inherited = {
        key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "CI", "FORCE_COLOR")
    }
    process = subprocess.Popen(
        (sys.executable, "-c", RUN), stdin=subprocess.PIPE, stderr=theirs, env=inherited | settings
    )
    os.close(theirs)
    assert process.stdin is not None
    sent, left = b"", list(awaited)
    try:
        while chunk := os.read(ours, 65536):
            sent += chunk
            if left and left[0] in ESCAPE.sub("", sent.decode(errors="replace")):
                del left[0]
                process.stdin.write(b"\n")
                process.stdin.flush()
    except OSError:
        pass  # Linux says EIO, not end of file, once the other side is closed
    finally:
        os.close(ours)
        process.stdin.close()
    assert process.wait(timeout=20) == 0
    return sent.decode()


def test_a_terminal_sees_phases_and_facts_live() -> None:
    sent = on_terminal({})
    lines = [line.strip() for line in ESCAPE.sub("", sent).replace("\r", "\n").split("\n")]
    assert any("18.2 req/s · TTFT p99 42.1 ms · 0 failed · replicas 10/10" in line for line in lines)
    assert any("TTFT p99 inf · 4 failed · replicas 7/10 · hit 3" in line for line in lines)
    assert any(re.fullmatch(r"▸ baseline +steady load +\d+ / 25 s", line) for line in lines)
    assert any(re.fullmatch(r"▸ fault +pod-kill +\d+ s", line) for line in lines), (
        "the last total is forgotten"
    )
    assert [line.split()[1] for line in lines if line.startswith("•")] == ["baseline", "fault"]
    assert max(map(len, lines)) <= 80
    assert sent.rindex("\x1b[?25h") > sent.rindex("\x1b[?25l"), "the cursor is given back"


def test_no_color_is_respected() -> None:
    colours = re.compile(r"\x1b\[(?:\d+;)*[349]\d(?:;\d+)*m")
    assert colours.search(on_terminal({}))
    assert not colours.search(on_terminal({"NO_COLOR": "1"}))


PLAIN = "aftershock: baseline: steady load\naftershock: fault: pod-kill\n"


def test_a_pipe_gets_one_plain_line_per_phase() -> None:
    done = subprocess.run(
        (sys.executable, "-c", RUN), input="\n\n", check=True, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("", PLAIN)


def test_a_terminal_that_cannot_move_its_cursor_is_treated_like_a_pipe() -> None:
    assert on_terminal({"TERM": "dumb"}, ("steady load", "pod-kill")).replace("\r\n", "\n") == PLAIN


def summary_of(journal: Journal, folder: RunFolder = SAMPLE) -> list[str]:
    screen = io.StringIO()
    print_summary(journal, folder, screen)
    return screen.getvalue().splitlines()


def test_the_summary_says_verdict_assertions_and_report() -> None:
    journal = journals.read(SAMPLE.journal)
    lines = summary_of(journal)
    assert lines[1].startswith("✓ PASSED: ")
    for assertion in journal.assertions:
        assert any(assertion.expression in line and assertion.verdict in line for line in lines)
    assert lines[-1] == f"report    {SAMPLE.report}"


def test_the_fullest_summary_fits_a_small_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    journal: dict[str, Any] = json.loads(SAMPLE.journal.read_text())
    journal.update(verdict="inconclusive", reasons=["because " * 40] * 9)
    journal["faults"][0]["targets"] = ["unlike-" * 9 + str(index) for index in range(30)]
    wordy = {
        "expression": "p99(ttft, baseline) <= " + "9" * 60 + "s",
        "reason": "why " * 50,
        "verdict": "inconclusive",
    }
    deviated = {**journal["assertions"][0], "verdict": "deviated", "expression": "the one that deviated"}
    journal["assertions"] = [{**journal["assertions"][0], **wordy} for _ in range(30)] + [deviated]
    lines = summary_of(Journal.model_validate(journal))
    assert len(lines) <= 24
    assert max(map(len, lines[:-1])) <= 80
    assert any("the one that deviated" in line for line in lines)


def test_a_long_path_stays_on_one_line() -> None:
    folder = RunFolder(Path("/somewhere") / ("deep/" * 40))
    assert summary_of(journals.read(SAMPLE.journal), folder)[-1] == f"report    {folder.report}"
