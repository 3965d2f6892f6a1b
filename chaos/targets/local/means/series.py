"""One figure of a replica's own exposition, read without waiting for a scrape."""

from chaos.collecting.exposition import samples
from chaos.errors import InconclusiveError
from chaos.targets.local.ports import HOST

_WITHIN_S = 2.0


def figure(metrics_port: int, family: str, **labels: str) -> float | None:
    """The sum over a family's samples that have these labels; None where there is none, or nothing answers."""
    try:
        told = samples(f"http://{HOST}:{metrics_port}/metrics", _WITHIN_S)
    except InconclusiveError:
        return None
    found = [each.value for each in told if each.name == family and labels.items() <= each.labels.items()]
    return sum(found) if found else None
