"""Say what a night found: an annotation for each experiment that did not pass, and each one's trend over the nights.

    python .ci/night_findings.py RUNS NIGHTS

RUNS is the folder of a catalogue that was run. Of each of its runs the journal and the experiment are kept below
NIGHTS, EXPERIMENT/UTC-TIME, and nights beyond the last 30 are dropped. Annotations are workflow commands of GitHub
Actions, lines that a person can read as well; table and trend go to the job's summary where there is one. Exits with 1
where a trend became worse, else with 0: the verdicts are the catalogue's to say, and its exit code was heard.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

MOST_NIGHTS = 30
_LEVELS = {"failure": "error", "error": "error", "skipped": "notice"}
"""JUnit's word for how a case ended, and how loudly it is said."""
KEPT = ("journal.json", "experiment.yaml")


def command(level: str, title: str, message: str) -> str:
    """A workflow command: characters that would end it are escaped (docs of GitHub: Workflow commands)."""
    text = message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    head = title.replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={head}::{text}"


def annotations(junit: Path) -> Iterator[str]:
    """One for each case that is not simply passed."""
    for case in ET.parse(junit).getroot().iter("testcase"):  # noqa: S314 - written by the run before
        for tag, level in _LEVELS.items():
            if (found := case.find(tag)) is not None:
                yield command(level, str(case.get("name")), f"{tag}: {found.get('message')}")


def keep(runs: Path, nights: Path) -> list[Path]:
    """Copy what a trend needs of each run; the folders of nights of those experiments, one for each."""
    folders = []
    for run in sorted(path.parent for path in runs.glob("*/journal.json")):
        started = _started(run)
        folder = nights / run.name
        (folder / started).mkdir(parents=True, exist_ok=True)
        for name in KEPT:
            shutil.copyfile(run / name, folder / started / name)
        for old in sorted(folder.iterdir())[:-MOST_NIGHTS]:
            shutil.rmtree(old)
        folders.append(folder)
    return folders


def _started(run: Path) -> str:
    at = str(json.loads((run / "journal.json").read_text(encoding="utf-8"))["started_at"])
    return at.replace(":", "").replace("-", "")[:15]


def trends(folders: list[Path]) -> Iterator[tuple[str, int, str]]:
    """Of each experiment with more than this night: its name, the exit code of `aftershock trend`, what that says."""
    for folder in folders:
        if len(list(folder.iterdir())) > 1:
            asked = [sys.executable, "-m", "chaos", "trend", str(folder)]
            said = subprocess.run(asked, capture_output=True, text=True, check=False)
            yield folder.name, said.returncode, said.stdout + said.stderr


def main(runs: Path, nights: Path) -> int:
    """Annotations first, then the trends."""
    junit = runs / "junit.xml"
    if not junit.is_file():
        print(command("error", "nightly-chaos", f"the catalogue left no {junit}: nothing was run"))
        return 1
    for annotation in annotations(junit):
        print(annotation)
    worse, texts = False, []
    for name, code, text in trends(keep(runs, nights)):
        texts.append(f"### {name}\n\n```text\n{text}```\n")
        if code == 1:
            worse = True
            print(
                command(
                    "error", name, "it recovers later than in the nights before: see the trend in the summary"
                )
            )
    report = (
        "\n".join(["## Trend over the last nights\n", *texts]) if texts else "One night is no trend yet.\n"
    )
    print(report, end="")
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        table = runs / "summary.md"
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(f"{table.read_text(encoding='utf-8') if table.is_file() else ''}\n{report}")
    return int(worse)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
