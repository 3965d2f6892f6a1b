"""What the dashboards assume about where series come from: selectors, windows, variables, uids. Nothing else has any.

Names with a dollar are Grafana's variables. A replica's series carry `job` and, where the scrape adds it, `pod`;
the gateway's carry a `job` of their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from exporters.series import gateway, server

REPLICAS = 'job=~"$job",pod=~"$pod"'
GATEWAY = 'job=~"$gateway"'

WINDOW = "$__rate_interval"
"""Grafana makes it max(step + scrape interval, 4 scrape intervals): never fewer than four scrapes."""
SCRAPE_INTERVAL = "1s"
"""Of Prometheus in local runs and in compose.yaml; Grafana's data source must be told the same (`timeInterval`)."""
QUANTILE_MIN_STEP = "5s"
"""Panels of quantiles ask no finer than this: a window of six seconds holds enough requests to mean something."""
PHASE_MEMORY = "10m"
"""For how long after a fault the Experiment dashboard speaks of recovery, before it is baseline again."""
WORST = 10
"""Panels by replica show so many, the worst first: a thousand lines say nothing."""

QUANTILES = (0.5, 0.9, 0.99)
BURN_RATE_PAGE = 14.4
"""Uses 2 % of a 30 days' budget in one hour: the factor at which the workbook on SLOs pages somebody."""

FOLDER_UID = "aftershock"
FOLDER_TITLE = "aftershock"
TAG = "aftershock"
DATASOURCE = "datasource"


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top of a dashboard, filled with the values of a label."""

    name: str
    label: str
    query: str
    all_value: str | None = None
    """What `All` stands for; None: every value that the query found."""


JOB = Variable("job", "Replicas' job", f"label_values({server.REQUESTS.name}, job)")
POD = Variable(
    "pod",
    "Replica",
    f'label_values({server.REQUESTS.name}{{job=~"$job"}}, pod)',
    all_value=".*",  # matches replicas without the label too, and one that started a moment ago
)
GATEWAY_JOB = Variable("gateway", "Gateway's job", f"label_values({gateway.GATEWAY_READY.name}, job)")

EVERYTHING: Mapping[str, str] = {"$job": ".+", "$pod": ".*", "$gateway": ".+"}
"""Values of the variables for whoever asks without Grafana, and scrapes no other job with the same names."""


def bound(expression: str, window: str, variables: Mapping[str, str] = EVERYTHING) -> str:
    """The expression as Prometheus takes it: `window` such as `5s` for the rates, values for the variables."""
    for name, value in {WINDOW: window, **variables}.items():
        expression = expression.replace(name, value)
    return expression
