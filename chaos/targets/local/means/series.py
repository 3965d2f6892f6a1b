"""One figure of a replica's own exposition, read without waiting for a scrape."""

from chaos.collecting.exposition import exposition
from chaos.errors import InconclusiveError
from chaos.targets.local.ports import HOST

_WITHIN_S = 2.0


def figure(metrics_port: int, family: str, **labels: str) -> float | None:
    """The sum over a family's samples that have these labels; None where there is none, or nothing answers."""
    # Not above: the supervisor imports every means, and is to start soon; it asks for no figures.
    from prometheus_client.parser import text_string_to_metric_families

    try:
        text = exposition(f"http://{HOST}:{metrics_port}/metrics", _WITHIN_S)
    except InconclusiveError:
        return None
    name = family.removesuffix("_total")
    samples = [s for each in text_string_to_metric_families(text) if each.name == name for s in each.samples]
    found = [each.value for each in samples if labels.items() <= each.labels.items()]
    return sum(found) if found else None
