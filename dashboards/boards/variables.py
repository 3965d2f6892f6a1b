"""The choices at the top of a dashboard: where, which model, which replicas, which experiment.

Each is filled with the values of a label. `All` takes what lacks the label too: one cluster alone needs no choice.
"""

from dataclasses import dataclass

from dashboards.config import PLACE
from dashboards.queries.expression import AnySeries, Expression, ModelNames, Samples, promql
from exporters.series import gateway, run


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top of a dashboard, filled with the values of a label."""

    name: str
    label: str
    query: Expression
    all_value: str | None = None
    """What `All` stands for; None: every value that the query found."""


_EVEN_WITHOUT = ".*"
"""Matches series without the label too, and one that came a moment ago."""

CLUSTER = Variable(
    "cluster", "Cluster", promql("label_values({series}, cluster)", series=AnySeries()), _EVEN_WITHOUT
)
NAMESPACE = Variable(
    "namespace",
    "Namespace",
    promql("label_values({series}, namespace)", series=AnySeries('cluster=~"$cluster"')),
    _EVEN_WITHOUT,
)
MODEL = Variable("model", "Model", promql("label_values({models})", models=ModelNames(PLACE)), _EVEN_WITHOUT)
JOB = Variable("job", "Replicas' job", promql("label_values({series}, job)", series=AnySeries(PLACE)))
POD = Variable(
    "pod",
    "Replica",
    promql("label_values({series}, pod)", series=AnySeries(f'{PLACE},job=~"$job"')),
    _EVEN_WITHOUT,
)
GATEWAY_JOB = Variable(
    "gateway",
    "Gateway's job",
    promql("label_values({series}, job)", series=Samples(gateway.GATEWAY_READY, PLACE)),
)
EXPERIMENT = Variable(
    "experiment",
    "Experiment",
    promql("label_values({series}, experiment)", series=Samples(run.CHAOS_ACTIVE)),
    _EVEN_WITHOUT,
)

PLACES = (CLUSTER, NAMESPACE)
OF_REPLICAS = (*PLACES, MODEL, JOB, POD)
