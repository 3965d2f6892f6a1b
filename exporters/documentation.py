"""METRICS.md, written from the declared families."""

from collections.abc import Mapping, Sequence

from exporters.series.family import Family

_HEAD = """\
# Metrics

<!-- Written by `python -m exporters docs` from exporters/series/: edit there. -->

Every series that aftershock exports. Units are base units (seconds, bytes, ratios from 0 to 1).
Bucket edges contain every bound of `exporters/slo.py`, so the share of requests within an objective is exact.
"""


def metrics_page(groups: Mapping[str, Sequence[Family]]) -> str:
    """The whole page: one table per group, then the bucket edges of its histograms."""
    return "\n".join([_HEAD, *(_section(title, families) for title, families in groups.items())])


def _section(title: str, families: Sequence[Family]) -> str:
    histograms = [family for family in families if family.buckets]
    lines = [
        f"## {title}",
        "",
        "| Name | Type | Unit | Labels | Meaning |",
        "| --- | --- | --- | --- | --- |",
        *(_row(family) for family in families),
        "",
    ]
    if histograms:
        lines += ["Bucket edges, in the unit of the family:", "", *map(_buckets, histograms), ""]
    return "\n".join(lines)


def _row(family: Family) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels)
    return f"| `{family.name}` | {family.kind} | {family.unit} | {labels} | {family.help} |"


def _buckets(family: Family) -> str:
    return f"- `{family.name}`: {' '.join(f'{edge:g}' for edge in family.buckets)}"
