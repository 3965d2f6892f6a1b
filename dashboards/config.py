"""What the dashboards assume about where series come from: selectors, windows, variables, uids. Nothing else has any.

Names with a dollar are Grafana's variables. A replica's series carry `job` and, where the scrape adds them, `pod`,
`namespace` and `cluster`; the gateway's carry a `job` of their own. `.*` stands for all, so that what lacks a label is
chosen too.
"""

from collections.abc import Mapping

PLACE = 'cluster=~"$cluster",namespace=~"$namespace"'
"""Of whatever runs in a cluster: replicas, gateway, prober, pinger."""
REPLICAS = f'{PLACE},job=~"$job",pod=~"$pod"'
"""And, where the series has the label, by model: under which name is the engine's business."""
GATEWAY = f'{PLACE},job=~"$gateway"'
RUN = 'experiment=~"$experiment"'
"""Of what a run tells of itself."""
MODEL = "$model"

WINDOW = "$__rate_interval"
"""Grafana makes it max(step + scrape interval, 4 scrape intervals): never fewer than four scrapes."""
SHOWN = "$__range"
"""All the time that a dashboard shows, as one window."""
SCRAPE_INTERVAL = "1s"
"""Of Prometheus in local runs and in compose.yaml; Grafana's data source must be told the same (`timeInterval`)."""
QUANTILE_MIN_STEP = "5s"
"""Panels of quantiles ask no finer than this: a window of six seconds holds enough requests to mean something."""
PHASE_MEMORY = "10m"
"""For how long after a fault the Experiment dashboard speaks of recovery, before it is baseline again."""
WORST = 10
"""Panels by replica show so many, the worst first: a thousand lines say nothing."""

QUANTILES = (0.5, 0.9, 0.99)
FAILED = "error|timeout|rejected"
"""Outcomes of a request that its replica counts as failed: of which a client that left is none."""
COMM_FAILURE_RATIO = 0.01
"""Of the operations with a peer, the share without an answer from which on it is trouble: a line, and an alert."""

FOLDER_UID = "aftershock"
FOLDER_TITLE = "aftershock"
TAG = "aftershock"
DATASOURCE = "datasource"


EVERYTHING: Mapping[str, str] = {
    "$cluster": ".*",
    "$namespace": ".*",
    "$model": ".*",
    "$job": ".+",
    "$pod": ".*",
    "$gateway": ".+",
    "$experiment": ".*",
}
"""Values of the variables for whoever asks without Grafana, and scrapes no other job with the same names."""


def bound(expression: str, window: str, variables: Mapping[str, str] = EVERYTHING) -> str:
    """The expression as Prometheus takes it: `window` (`5s`) for all that spans time, values for some variables."""
    for name, value in {WINDOW: window, SHOWN: window, **EVERYTHING, **variables}.items():
        expression = expression.replace(name, value)
    return expression
