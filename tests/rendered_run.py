"""`make render`: every dashboard drawn over a real run, judged, and its picture put into the docs.

The run is `aftershock run --keep` of the experiment in `tests/render/run`, with its load, prober, pinger and verdict.

`--prometheus URL` draws over a Prometheus that is there instead, of the last 15 minutes. Exit code 1 when a generated
file does not fit Grafana's own types, or a picture shows anything but what it should; every complaint names dashboard
and panel.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from chaos.prometheus import PrometheusClient
from tests.render.drawing import GENERATED, Drawing, DrawingError, draw, install, schema_problems
from tests.render.drawn import Expected
from tests.support.kept_run import KeptRun, kept_run
from tests.support.recorded_gpu import POD, STEP_S, STEPS, recorded_gpu

EXPERIMENT = Path(__file__).parent / "render" / "run" / "experiment.yaml"
PLAYED_S = STEP_S * len(STEPS)
GPU_NOTE = (
    "Recorded, not live: scrapes of one real NVIDIA H200 (idle, loaded, its memory fragmented on purpose, released), "
    f"played back for {STEP_S:g} s each."
)

UNTOLD = {"queue": ("Memory bandwidth used",)}
"""Panels of what no CPU tells, by dashboard; each says so itself."""
UNSEEN = {
    "queue": "Replicas on CPUs: what a GPU alone tells is not there.",
}
"""What this machine does not have, by dashboard, in words over the picture."""
_TICK_S, _FIRST_TICK_S = 30.0, 16.0
"""Between two times on an axis; a chart begins well before one, which else is cut off on the left."""
LAST_S = 15 * 60.0


def main(pictures: Path, prometheus_url: str | None = None) -> int:
    """Draw everything into that folder."""
    generated = sorted(GENERATED.glob("*.json"))
    try:
        install()
        wrong = schema_problems(generated)
        names = [path.stem for path in generated]
        if prometheus_url is not None:
            wrong += there(prometheus_url, names, pictures)
        else:
            scratch = tempfile.TemporaryDirectory(prefix="aftershock-render-", ignore_cleanup_errors=True)
            with scratch as folder:
                wrong += watched(Path(folder), names, pictures)
    except DrawingError as error:
        print(error, file=sys.stderr)
        return 1
    for name in names:
        reduce_colours(_picture(name, pictures))
    print(*wrong, sep="\n", file=sys.stderr)
    print(f"{len(generated)} pictures in {pictures}, {len(wrong)} complaints")
    return 1 if wrong else 0


def reduce_colours(picture: Path) -> None:
    """Write it again with 256 colours in place of millions: of charts, the same to the eye and a third of the bytes."""
    with Image.open(picture) as drawn:
        few = drawn.convert("RGB").quantize(256)
    few.save(picture, optimize=True)


def there(url: str, names: list[str], pictures: Path) -> list[str]:
    """Draw what that Prometheus has seen lately, and say what is wrong in the pictures."""
    now_s = time.time()
    return draw([Drawing(name, url, now_s - LAST_S, now_s, _picture(name, pictures)) for name in names])


def watched(scratch: Path, names: list[str], pictures: Path) -> list[str]:
    """Run the cluster, draw what was seen of it, and say what is wrong in the pictures."""
    with kept_run(EXPERIMENT, scratch / "run") as run, recorded_gpu(scratch / "gpu") as gpu:
        played_s = time.time()
        wrong = draw([drawing(name, run, pictures) for name in names if name != "gpu"])
        time.sleep(max(0.0, played_s + PLAYED_S - time.time()))
        return [*wrong, *draw([gpu_drawing(gpu, played_s, pictures) for name in names if name == "gpu"])]


def drawing(name: str, run: KeptRun, pictures: Path) -> Drawing:
    """One dashboard over the whole run."""
    return Drawing(
        name,
        run.client._url,
        run.start_s - (run.start_s - _FIRST_TICK_S) % _TICK_S,
        run.end_s,
        _picture(name, pictures),
        note=UNSEEN.get(name),
        expected=Expected(faults=run.faults(), untold=UNTOLD.get(name, ())),
    )


def gpu_drawing(gpu: PrometheusClient, played_s: float, pictures: Path) -> Drawing:
    """The GPU dashboard over what was recorded: this machine need not have a GPU."""
    # Nothing there exports requests, from which the dashboard's lists of choices are made.
    variables = {"job": "deepseek-metrics", "pod": POD}
    end_s = played_s + PLAYED_S
    picture = _picture("gpu", pictures)
    return Drawing(
        "gpu",
        gpu._url,
        played_s,
        end_s,
        picture,
        variables,
        GPU_NOTE,
        Expected(faults=(), untold=("NVLink",)),
    )


def _picture(name: str, folder: Path) -> Path:
    return folder / f"{name.replace('-', '_')}.png"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.rendered_run", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("docs/dashboards"))
    parser.add_argument("--prometheus", metavar="URL")
    options = parser.parse_args()
    sys.exit(main(options.folder, options.prometheus))
