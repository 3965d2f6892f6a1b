"""Write docs/faults.md and its pictures: every fault, what a client sees of it, how near it is, and a run with it.

    python .ci/fault_catalogue.py --from runs/catalogue-...   takes the runs' figures in, and draws them
    python .ci/fault_catalogue.py                             writes the page again from what was taken in

The figures of the runs are kept in docs/data/catalogue.json. `--check` only says whether the page is true.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import yaml

from chaos.faults.elsewhere.kinds import ELSEWHERE
from chaos.faults.kinds import KINDS
from chaos.faults.manifest import OWN
from chaos.report import markdown, recorded, story
from chaos.run_folder import RunFolder

PAGE, PICTURES = Path("docs/faults.md"), Path("docs/faults")
WORDS, FIGURES = Path("docs/data/faults.yaml"), Path("docs/data/catalogue.json")
MANIFESTS, EXPERIMENTS = Path("chaos/manifests"), Path("chaos/experiments")
WIDTH, HEIGHT, MARGIN = 460, 120, 26


def taken_in(runs: Path) -> dict[str, Any]:
    """Of each run of a catalogue: verdict, recoveries, goodput second by second, and when its faults were in force."""
    found = {}
    for folder in sorted(path for path in runs.iterdir() if (path / "journal.json").is_file()):
        run = recorded.read(RunFolder(folder))
        journal = run.journal
        found[folder.name] = {
            "verdict": story.word(journal),
            "finding": story.finding(journal),
            "goodput_back": story.recovery_value(journal, "service"),
            "capacity": story.recovery_value(journal, "capacity"),
            "known": "never"
            if journal.recovery.detection_s == float("inf")
            else journal.recovery.detection_s,
            "lost": journal.recovery.lost_requests,
            "windows": [[one.started_s, one.ended_s] for one in journal.faults],
            "warmup_s": journal.load.warmup_s,
            "end_s": journal.load.plan_end_s,
            "goodput": [[one.start_s, one.good, one.planned] for one in run.bins],
        }
    return found


def picture(name: str, run: Mapping[str, Any]) -> str:
    """Good answers per planned ones, in stretches of two seconds; the time of the faults is shaded."""
    end_s = run["end_s"]

    def x(at_s: float) -> float:
        return MARGIN + (WIDTH - 2 * MARGIN) * min(at_s, end_s) / end_s

    def y(share: float) -> float:
        return HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * share

    pairs: dict[int, list[float]] = {}
    for start_s, good, planned in run["goodput"]:
        if run["warmup_s"] <= start_s < end_s:
            both = pairs.setdefault(int(start_s) // 2, [0.0, 0.0])
            both[0] += good
            both[1] += planned
    points = [(2 * half + 1, good / planned) for half, (good, planned) in sorted(pairs.items()) if planned]
    line = " ".join(f"{x(at_s):.1f},{y(share):.1f}" for at_s, share in points)
    shades = "".join(
        _shade(x(start_s), x(end_s if until_s is None else until_s), y(1), y(0), lasts=until_s is not None)
        for start_s, until_s in run["windows"]
    )
    grid = "".join(f"M{x(0):.1f} {y(share):.1f}H{x(end_s):.1f}" for share in (0, 1))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" font-family="sans-serif" font-size="10" role="img">'
        f"<title>{escape(name)}: {escape(run['finding'])}</title>"
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>{shades}'
        f'<path d="{grid}" stroke="#bbbbbb" fill="none"/>'
        f'<polyline points="{line}" fill="none" stroke="#0072b2" stroke-width="1.5"/>'
        f'<text x="{MARGIN - 4}" y="{y(1) + 3:.1f}" text-anchor="end">1</text>'
        f'<text x="{MARGIN - 4}" y="{y(0) + 3:.1f}" text-anchor="end">0</text>'
        f'<text x="{x(end_s):.1f}" y="{HEIGHT - 10}" text-anchor="end">{end_s:.0f} s</text>'
        f'<text x="{MARGIN}" y="{MARGIN - 12}">{escape(name)}: {escape(run["verdict"])}</text></svg>\n'
    )


def _shade(left: float, right: float, top: float, bottom: float, *, lasts: bool) -> str:
    opacity = 0.35 if lasts else 0.15
    return (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{max(2.0, right - left):.1f}" '
        f'height="{bottom - top:.1f}" fill="#e69f00" opacity="{opacity}"/>'
    )


def manifest_of(label: str) -> str:
    """The shipped manifest of a kind, as a link; the first of several."""
    for path in sorted(MANIFESTS.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            action = document.get("spec", {}).get("action")
            if label == (document["kind"] if action is None else f"{document['kind']}/{action}"):
                return f"[{path.name}](../{path})"
    return ""


def kinds(words: Mapping[str, Mapping[str, str]]) -> str:
    """A row for each kind."""
    rows = []
    for kind in KINDS:
        said = words[kind.label]
        near = kind.fidelities.get("local") or kind.fidelities["external"]
        own = " (own)" if kind.api_version == OWN else ""
        manifest = manifest_of(kind.label)
        shown = f"[{said['experiment']}](../{EXPERIMENTS / said['experiment']}.yaml)"
        rows.append(
            (f"`{kind.label}`{own}", kind.plane, near.level, said["sees"], said["record"], manifest, shown)
        )
    heads = (
        "fault",
        "plane",
        "fidelity",
        "what a client sees",
        "the public record",
        "manifest",
        "experiment",
    )
    return markdown.table(heads, rows)


def runs_of(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """A row for each experiment that was run."""
    rows = []
    for name, run in runs.items():
        known = run["known"]
        if not isinstance(known, str):
            known = "" if known is None else f"{known:.2f} s"
        link, image = f"[{name}](../{EXPERIMENTS / name}.yaml)", f"![{name}](faults/{name}.svg)"
        lost = "" if run["lost"] is None else str(run["lost"])
        rows.append((link, run["verdict"], known, run["goodput_back"], run["capacity"], lost, image))
    heads = ("experiment", "verdict", "known", "goodput back", "capacity back", "lost", "goodput")
    return markdown.table(heads, rows)


def page(words: Mapping[str, Mapping[str, str]], runs: Mapping[str, Mapping[str, Any]]) -> str:
    """The page."""
    template = Template(Path(__file__).with_suffix(".md").read_text(encoding="utf-8"))
    elsewhere = ", ".join(sorted({f"`{kind.label}`" for kind in ELSEWHERE}))
    return template.substitute(kinds=kinds(words), elsewhere=elsewhere, runs=runs_of(runs))


def main(arguments: Sequence[str]) -> int:
    """Write everything, or check it."""
    words = yaml.safe_load(WORDS.read_text(encoding="utf-8"))
    if arguments[:1] == ["--from"]:
        FIGURES.write_text(
            json.dumps(taken_in(Path(arguments[1])), indent=None, separators=(",", ":")) + "\n",
            encoding="utf-8",
        )
    runs = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.is_file() else {}
    written = page(words, runs)
    if "--check" in arguments:
        return int(not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != written)
    PAGE.write_text(written, encoding="utf-8")
    PICTURES.mkdir(exist_ok=True)
    for name, run in runs.items():
        (PICTURES / f"{name}.svg").write_text(picture(name, run), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
