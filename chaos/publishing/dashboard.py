"""Where a run can be watched: the dashboard of experiments in the Grafana that is told, or graphs in its Prometheus."""

from collections.abc import Iterator
from urllib.parse import urlencode

from chaos.collecting.series import VARIABLES, WINDOW
from chaos.targets import Endpoints
from dashboards.boards import experiment
from dashboards.boards.fitting import fit
from dashboards.config import bound
from dashboards.engines import REFERENCE

_LOOKS_BACK = "5m"
_PANELS = (experiment.outcomes(), experiment.both_sides(), experiment.replicas(), experiment.faults())
"""Of the gateway and of the run: whatever engine the replicas are, but for what they say of their latency."""


def address(endpoints: Endpoints, grafana_url: str | None) -> str | None:
    """Of a dashboard that shows the run while it goes on; None where nothing has its series."""
    if grafana_url is not None:
        return f"{grafana_url.rstrip('/')}/d/{experiment.experiment().uid}"
    if endpoints.prometheus_url is None or endpoints.gateway_metrics_url is None:
        return None
    return f"{endpoints.prometheus_url}/graph?{urlencode(dict(_graphs()))}"


def _graphs() -> Iterator[tuple[str, str]]:
    """A graph for each query, as Prometheus' page reads them from its address."""
    panels = filter(None, (fit(panel, REFERENCE)[0] for panel in _PANELS))
    queries = [query for panel in panels for query in panel.queries]
    for place, query in enumerate(queries):
        yield f"g{place}.expr", bound(query.expression.text, WINDOW, VARIABLES)
        yield f"g{place}.tab", "0"
        yield f"g{place}.range_input", _LOOKS_BACK
