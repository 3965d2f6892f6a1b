"""The error budgets of a run, as its rows use them up: how many more arrivals may miss an objective."""

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client.metrics_core import Metric

from chaos.measuring.objectives import Objectives, is_good
from exporters.registry import gauge_snapshot
from exporters.series.run import RUN_BUDGET_LEFT
from exporters.slo import E2E, GOODPUT, ITL, TPOT, TTFT, Objective, named
from loadtests.rows import Row


class Budgets:
    """One per objective, each as large as the share of the plan that the objective lets go."""

    def __init__(self, experiment: str, objectives: Sequence[Objective]) -> None:
        self._experiment = experiment
        self._objectives = objectives
        self._missed = {each.name: 0 for each in objectives}
        self._good = _all_of(objectives)

    def take_in(self, rows: Iterable[Row]) -> None:
        """Arrivals that ended; a failure misses every objective, as in verdicts."""
        for row in rows:
            for each in self._objectives:
                self._missed[each.name] += not self._meets(row, each)

    def left(self, planned: int) -> Metric:
        """The family, for a run of so many arrivals."""
        shares = {each.name: each.share for each in self._objectives}
        return left_of(self._experiment, shares, self._missed, planned)

    def _meets(self, row: Row, objective: Objective) -> bool:
        if not row.ok:
            return False
        if objective.name == GOODPUT.name:
            return self._good is None or is_good(row, self._good)
        took_s = {
            TTFT.name: row.ttft_s,
            E2E.name: row.e2e_s,
            ITL.name: max(row.itl_s, default=0.0),
            TPOT.name: row.tpot_s,
        }
        return objective.bound_s is None or (took_s[objective.name] or 0.0) <= objective.bound_s


def _all_of(objectives: Sequence[Objective]) -> Objectives | None:
    """What makes a request good in every way; None where too little is said."""
    found = [named(objectives, each.name) for each in (TTFT, E2E, ITL, TPOT)]
    ttft_s, e2e_s, itl_s, tpot_s = (None if each is None else each.bound_s for each in found)
    return None if ttft_s is None or e2e_s is None else Objectives(ttft_s, e2e_s, itl_s, tpot_s)


def left_of(experiment: str, wanted: Mapping[str, float], missed: Mapping[str, int], planned: int) -> Metric:
    """The family: what is left of how many of the planned arrivals may miss an objective, 1 being all of it.

    Args:
        experiment: of the run.
        wanted: by objective, the share of arrivals that is to meet it.
        missed: by objective, how many did not.
        planned: arrivals; where there are none, nothing is said.
    """
    family = gauge_snapshot(RUN_BUDGET_LEFT)
    for name, share in wanted.items() if planned else ():
        family.add_metric([experiment, name], 1 - missed[name] / ((1 - share) * planned))
    return family
