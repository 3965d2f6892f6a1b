"""Rules on who may be evicted, and who goes first: PodDisruptionBudget and PriorityClass."""

from collections.abc import Iterator

from chaos.lint.objects import Inventory, Object, selects
from chaos.lint.pods import Pods, all_pods
from chaos.lint.rule import pod_rule, rule
from chaos.reading.documents import Problem

_BUDGET = "PodDisruptionBudget"


@rule("error", _BUDGET)
def budget_allows_nothing(budget: Object, inventory: Inventory) -> Iterator[Problem]:
    """A PodDisruptionBudget lets at least one of its pods be evicted.

    Otherwise no node can be drained: an upgrade of the cluster hangs until somebody deletes the budget. A
    single replica cannot be kept available by a budget, only by a second one.
    """
    least, most = budget.spec.at("minAvailable"), budget.spec.at("maxUnavailable")
    if most.number == 0 or most.percentage == 0:
        yield most.problem("expected at least 1")
    if least.percentage == 100:
        yield least.problem("expected less than all of them")
    replicas = _replicas(budget, inventory)
    if least.number is not None and replicas is not None and least.number >= replicas > 0:
        yield least.problem(f"expected fewer than the {replicas} replicas that it selects")


@rule("error", _BUDGET)
def budget_allows_everything(budget: Object, inventory: Inventory) -> Iterator[Problem]:
    """A PodDisruptionBudget keeps at least one of its pods.

    One that lets all of them go at once is no budget.
    """
    least, most = budget.spec.at("minAvailable"), budget.spec.at("maxUnavailable")
    if least.number == 0 or least.percentage == 0:
        yield least.problem("expected at least 1")
    replicas = _replicas(budget, inventory)
    whole = most.number is not None and replicas is not None and 0 < replicas <= most.number
    if most.percentage == 100 or whole:
        yield most.problem("expected fewer than all of them")


@rule("error", _BUDGET)
def budget_of_nobody(budget: Object, _: Inventory) -> Iterator[Problem]:
    """A PodDisruptionBudget has a selector, and a limit.

    Without a selector it selects nobody, and protects nothing.
    """
    spec = budget.spec
    if not isinstance(spec.at("selector").value, dict):
        yield spec.at("selector").problem("expected this key (whose pods)")
    if not (spec.at("minAvailable").exists or spec.at("maxUnavailable").exists):
        yield spec.at("minAvailable").problem("expected this key, or maxUnavailable")


def _replicas(budget: Object, inventory: Inventory) -> int | None:
    """How many pods a budget is about; None where that is not known from these files."""
    selector = budget.spec.at("selector")
    selected = [
        pods for pods in all_pods(inventory) if pods.owner.beside(budget) and selects(selector, pods.labels)
    ]
    scaled = {
        scaler.spec.at("scaleTargetRef", "name").text
        for scaler in inventory.of("HorizontalPodAutoscaler", "ScaledObject.keda.sh")
    }
    numbers = [None if pods.owner.name in scaled else pods.replicas for pods in selected]
    known = [number for number in numbers if number is not None]
    return sum(known) if known and len(known) == len(numbers) else None


@rule("error", "PriorityClass")
def unused_priority_class(priority: Object, inventory: Inventory) -> Iterator[Problem]:
    """Somebody among the files refers to a PriorityClass, unless it is everybody's.

    One that nobody refers to changes nothing: under pressure the model servers are evicted like any batch
    job.
    """
    if priority.root.at("globalDefault").value is True:
        return
    users = {pods.spec.at("priorityClassName").text for pods in all_pods(inventory)}
    if priority.name not in users:
        name = priority.root.at("metadata", "name")
        yield name.problem("expected a priorityClassName that refers to it in these files")


@pod_rule("advice")
def unknown_priority_class(pods: Pods, inventory: Inventory) -> Iterator[Problem]:
    """A priorityClassName is that of a PriorityClass among the files, or of Kubernetes' own.

    A pod that names one that the cluster does not have is refused.
    """
    name = pods.spec.at("priorityClassName")
    known = {priority.name for priority in inventory.of("PriorityClass")}
    if name.text and name.text not in known and not name.text.startswith("system-"):
        yield name.problem("expected a PriorityClass of these files")
