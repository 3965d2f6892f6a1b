"""The choices at the top of a dashboard: which replicas, which gateway. Each is filled with the values of a label."""

from dataclasses import dataclass

from dashboards.queries.expression import AnySeries, Expression, Samples, promql
from exporters.series import gateway


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top of a dashboard, filled with the values of a label."""

    name: str
    label: str
    query: Expression
    all_value: str | None = None
    """What `All` stands for; None: every value that the query found."""


JOB = Variable("job", "Replicas' job", promql("label_values({series}, job)", series=AnySeries()))
POD = Variable(
    "pod",
    "Replica",
    promql("label_values({series}, pod)", series=AnySeries('job=~"$job"')),
    all_value=".*",  # matches replicas without the label too, and one that started a moment ago
)
GATEWAY_JOB = Variable(
    "gateway", "Gateway's job", promql("label_values({series}, job)", series=Samples(gateway.GATEWAY_READY))
)
