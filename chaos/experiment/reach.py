"""Whether a fault is sure to reach further than its experiment allows: known before anything starts."""

from collections.abc import Iterator

from chaos.experiment.experiment import Experiment
from chaos.experiment.injections import Injection
from chaos.faults.blast_radius import exceeded, possible, protected
from chaos.faults.selection import candidates
from chaos.reading.documents import Problem
from chaos.targets.options import Planned

_AT_MOST = {"max_targets": "at least {most}", "max_share": "a share that holds {most} of {wanted} replicas"}


def require_within_reach(experiment: Experiment) -> None:
    """Refuse faults that could hit more than allowed, or somebody protected, of the replicas that there would be.

    The run asks again, of the replicas that there are; what is not known of them beforehand is left to that.

    Raises:
        InputError: naming file, line, key path, value and what was expected, for every such bound.
    """
    planned = experiment.target.planned(experiment.spec.seed or 0)
    if planned.unknown or not planned.replicas:
        return
    # Of a Schedule every repetition has the same reach.
    once = {(one.where, one.planned.fault.name): one for one in experiment.injections}
    found = [problem for one in once.values() for problem in _problems(one, planned)]
    if found:
        raise experiment.refusal(dict.fromkeys(found))


def _problems(injection: Injection, planned: Planned) -> Iterator[Problem]:
    fault, radius = injection.planned.fault, injection.planned.radius
    chosen = fault.selection
    if chosen is None:
        return
    matched = candidates(chosen.selector, planned.replicas, planned.nodes)
    if not matched:  # by name, and names are drawn anew by a run without a seed
        return
    who = f"{injection.entry.manifest} ({fault.how_many})"
    if kept := protected(matched, radius, planned.nodes):
        complaint = f"expected a selector that matches nothing protected, this one matches {len(kept)} such"
        yield Problem((*injection.where, "manifest"), complaint, injection.entry.manifest)
    reach = possible(matched, chosen.mode, chosen.value)
    wanted = len(planned.replicas)
    for key, bound in exceeded(reach, radius, wanted):
        expected = _AT_MOST[key].format(most=reach.most, wanted=wanted)
        complaint = f"expected {expected}: {who} could hit {reach.most} of the {len(matched)} that it matches"
        yield Problem((*injection.where, key), complaint, bound)
