"""The chart of the machine: how many of its cores were busy, and with whose work."""

from collections.abc import Sequence
from itertools import pairwise

from chaos.measuring.processor import Sample
from chaos.report.drawing import Chart, chart, plain
from chaos.report.words import plain as number


def of_samples(samples: Sequence[Sample], end_s: float) -> list[Chart]:
    """Cores in use between two samples each; none where the processor was not sampled."""
    within = [
        (earlier, later) for earlier, later in pairwise(samples) if later.at_s > 0 and earlier.at_s < end_s
    ]
    if not within:
        return []
    cores = min(sample.cores for sample in samples)
    busy, ours = [], []
    for earlier, later in within:
        length_s = later.at_s - earlier.at_s
        spent_s = sum(later.roles.values()) - sum(earlier.roles.values())
        busy.append(plain((later.busy_s - earlier.busy_s) / length_s))
        ours.append(plain(spent_s / length_s))
    x = [max(0.0, earlier.at_s) for earlier, _ in within] + [min(end_s, within[-1][1].at_s)]
    drawn = chart(
        "machine",
        "Processor",
        f"cores in use, of {number(cores)}; what is busy and not ours is somebody else's",
        x=[*map(plain, x), *([end_s] if x[-1] < end_s else [])],
        series=[
            {"label": label, "colour": colour, "style": "step", "values": [*values, values[-1]]}
            for label, colour, values in (("busy", "grey", busy), ("ours", "blue", ours))
        ],
        top=cores,
    )
    for series in drawn["series"]:
        series["values"] += [None] * (len(drawn["x"]) - len(series["values"]))
    label = f"{number(cores)} core{'' if cores == 1 else 's'}"
    return [drawn | {"unit": "value", "bound": {"label": label, "value": cores}}]
