"""Record tests/data/run-sample: a short run of the whole chain, as `aftershock run` left it, without logs and reports.

    python tests/data/record_run_sample.py

Ten replicas of the reference server, three of them killed; a rate at which a machine of two cores has room.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SAMPLE = ROOT / "tests" / "data" / "run-sample"
SHORTER = {
    "rate: 60% of capacity": "rate: 18",
    "output_tokens: 32": "output_tokens: 16",
    "prompt_tokens: 64": "prompt_tokens: 32",
    "ttft: 500ms\n": "ttft: 1s\n",
    'DS_MAX_RUNNING: "2"': 'DS_MAX_RUNNING: "1"',
    "baseline: 28s": "baseline: 23s",
    "hold: 15s": "hold: 5s",
    "within: 25s": "within: 15s",
    "observe: 40s": "observe: 20s",
    "recovery.capacity <= 15s": "recovery.capacity <= 10s",
}
KEPT = ("experiment.yaml", "manifest.yaml", "timetable.json", "plan.jsonl", "requests.jsonl", "events.jsonl",
        "load.json", "series.json", "alerts.json", "engine.json", "counts.json", "processor.jsonl",
        "journal.json")  # fmt: skip


def main() -> int:
    """Run, and keep the run where it passed."""
    text = (ROOT / "chaos/experiments/pod-kill-30.yaml").read_text()
    for old, new in SHORTER.items():
        assert old in text
        text = text.replace(old, new)
    with tempfile.TemporaryDirectory() as name:
        experiment = Path(name) / "experiments" / "sample.yaml"
        experiment.parent.mkdir()
        shutil.copytree(ROOT / "chaos/manifests", Path(name) / "manifests")
        experiment.write_text(text)
        run = Path(name) / "run"
        ended = subprocess.run([sys.executable, "-m", "chaos", "run", experiment, "--out", run], check=False)
        if ended.returncode != 0:
            return ended.returncode
        shutil.rmtree(SAMPLE, ignore_errors=True)
        SAMPLE.mkdir()
        for kept in KEPT:
            if (run / kept).is_file():
                shutil.copyfile(run / kept, SAMPLE / kept)
    return 0


if __name__ == "__main__":
    sys.exit(main())
