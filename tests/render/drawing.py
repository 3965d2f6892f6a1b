"""Draws the generated dashboards with Grafana's own front-end packages, in headless Chromium, and judges the pictures.

The packages come from npm by the lock file beside this one, never into the repository. Needs Node 18 and Chromium.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dashboards.config import SCRAPE_INTERVAL
from tests.render.drawn import Expected, problems

RENDER = Path(__file__).parent
GENERATED = RENDER.parents[1] / "dashboards" / "generated"
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


class DrawingError(Exception):
    """Nothing could be drawn: a program is missing, or one failed."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """One picture: which dashboard, of what."""

    name: str
    """Of the generated file, without its suffix."""
    prometheus_url: str
    start_s: float
    end_s: float
    """Unix seconds."""
    picture: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    """Values for the dashboard's variables; those that are not here stand at `All`."""
    note: str | None = None
    """Words over the picture, such as where its figures come from."""
    expected: Expected = field(default_factory=Expected)


def install() -> None:
    """Install the packages as the lock file has them, and bundle the page.

    Raises:
        DrawingError: npm is missing or fails, or the page does not compile.
    """
    lock, installed = RENDER / "package-lock.json", RENDER / "node_modules" / ".package-lock.json"
    if not installed.is_file() or installed.stat().st_mtime < lock.stat().st_mtime:
        # Scenes and Grafana's packages name peers of each other that npm cannot all meet; this set works together.
        _run("npm", "ci", "--legacy-peer-deps", "--no-audit", "--no-fund")
        installed.touch()
    _run("npx", "--no-install", "tsc", "--noEmit")
    _run("node", "bundle.mjs")


def schema_problems(paths: Iterable[Path]) -> list[str]:
    """Where the files differ from the JSON Schemas of Grafana's own types.

    Raises:
        DrawingError: the schemas cannot be made.
    """
    done = _run("node", "schema.mjs", *map(str, paths), allowed=(0, 1))
    if done.returncode and not done.stdout:
        raise DrawingError(done.stderr)
    return done.stdout.splitlines()


def draw(drawings: Sequence[Drawing]) -> list[str]:
    """Write every picture, and say what is wrong in any of them: dashboard, panel, complaint.

    Raises:
        DrawingError: there is no Chromium, or the drawing program failed.
    """
    browser = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if browser is None:
        raise DrawingError("no Chromium on PATH (Debian: apt install chromium)")
    with tempfile.TemporaryDirectory(prefix="aftershock-render-") as scratch:
        facts = [Path(scratch) / f"{index}.json" for index in range(len(drawings))]
        orders = [_order(drawing, path) for drawing, path in zip(drawings, facts, strict=True)]
        request = Path(scratch) / "request.json"
        request.write_text(json.dumps({"chromium": browser, "drawings": orders}))
        _run("node", "draw.mjs", str(request))
        return [
            f"dashboard {drawing.name!r}: {problem}"
            for drawing, path in zip(drawings, facts, strict=True)
            for problem in problems(_dashboard(drawing), json.loads(path.read_text()), drawing.expected)
        ]


def _order(drawing: Drawing, facts: Path) -> dict[str, Any]:
    drawing.picture.parent.mkdir(parents=True, exist_ok=True)
    plan = {
        "dashboard": _dashboard(drawing),
        "prometheusUrl": drawing.prometheus_url.rstrip("/"),
        "fromMs": round(drawing.start_s * 1000),
        "toMs": round(drawing.end_s * 1000),
        "scrapeIntervalS": float(SCRAPE_INTERVAL.removesuffix("s")),
        "variables": dict(drawing.variables),
        "note": drawing.note,
    }
    return {"plan": plan, "picture": str(drawing.picture.resolve()), "facts": str(facts)}


def _dashboard(drawing: Drawing) -> Any:
    return json.loads((GENERATED / f"{drawing.name}.json").read_text())


def _run(*command: str, allowed: Sequence[int] = (0,)) -> "subprocess.CompletedProcess[str]":
    program = shutil.which(command[0])
    if program is None:
        raise DrawingError(
            f"{command[0]} is not on PATH (Debian: apt install nodejs npm; version 18 or newer)"
        )
    # Nobody waits for a picture; whatever is measured beside it must not wait for Node.
    polite = ("nice", program, *command[1:])
    done = subprocess.run(polite, cwd=RENDER, capture_output=True, text=True, check=False)
    if done.returncode not in allowed:
        raise DrawingError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr or done.stdout}")
    return done
