"""Rules on whoever changes the number of replicas and nodes: HPA, KEDA, Karpenter."""

import re
from collections.abc import Iterator

from chaos.lint.objects import Inventory, Object
from chaos.lint.place import Place
from chaos.lint.pods import is_gpu
from chaos.lint.rule import rule
from chaos.reading.documents import Problem

_HPA, _SCALED = "HorizontalPodAutoscaler", "ScaledObject.keda.sh"
_UTILISATION = re.compile(
    r"DCGM_FI_(DEV_GPU_UTIL|PROF_GR_ENGINE_ACTIVE)|gpu_?util(i[sz]ation)?|duty_cycle", re.IGNORECASE
)


@rule("error", _HPA)
def hpa_resource_metric(hpa: Object, _: Inventory) -> Iterator[Problem]:
    """A Resource metric of an HPA is cpu or memory.

    The API of resource metrics knows no other resource: with `nvidia.com/gpu` the HPA stays at
    FailedGetResourceMetric and never scales, though every schema takes it. Scale on requests that wait, as
    a Pods or External metric.
    """
    for metric in hpa.spec.at("metrics").each():
        for part in ("resource", "containerResource"):
            name = metric.at(part, "name")
            if name.exists and name.value not in ("cpu", "memory"):
                yield name.problem("expected cpu or memory")


@rule("error", _HPA)
def hpa_without_maximum(hpa: Object, _: Inventory) -> Iterator[Problem]:
    """An HPA has maxReplicas, and no fewer than minReplicas.

    Without it the API server refuses the object, and nothing scales.
    """
    most, least = hpa.spec.at("maxReplicas"), hpa.spec.at("minReplicas")
    if most.number is None or most.number < (least.number or 1):
        yield most.problem(f"expected a whole number from {least.number or 1}")


@rule("advice", _SCALED)
def scaledobject_without_maximum(scaled: Object, _: Inventory) -> Iterator[Problem]:
    """A ScaledObject says its maxReplicaCount.

    KEDA's own is 100, and a hundred replicas that wait for GPUs are no surprise that one wants.
    """
    if not (most := scaled.spec.at("maxReplicaCount")).exists:
        yield most.problem("expected this key (KEDA takes 100)")


@rule("error", _SCALED)
def keda_gpu_resource(scaled: Object, _: Inventory) -> Iterator[Problem]:
    """No trigger of a ScaledObject scales on a GPU as a resource.

    KEDA hands resources to an HPA, which knows cpu and memory alone, and has no scaler for GPUs. Use the
    trigger `prometheus` on requests that wait.
    """
    for trigger in scaled.spec.at("triggers").each():
        kind = trigger.at("type")
        if is_gpu(kind.text) or kind.text.lower() in ("gpu", "nvidia", "resource"):
            yield kind.problem("expected a scaler of KEDA's, such as prometheus")
        for key, value in trigger.at("metadata").entries():
            if key in ("metricName", "resourceName", "name") and is_gpu(value.text):
                yield value.problem("expected a metric, which this resource is not")


@rule("advice", _HPA, _SCALED)
def scaling_on_utilisation(scaler: Object, _: Inventory) -> Iterator[Problem]:
    """What a model server scales on is the requests that wait, not how busy its GPUs are.

    With continuous batching a GPU is as good as fully busy from the first request on: the figure says
    nothing of what is still to be had.
    """
    for value in Place(scaler.spec.value, ("spec",)).walk():
        if isinstance(value.value, str) and _UTILISATION.search(value.value):
            yield value.problem("expected requests that wait or run, not how busy a GPU is")


@rule("advice", _HPA, _SCALED)
def two_scalers(scaler: Object, inventory: Inventory) -> Iterator[Problem]:
    """A workload has one autoscaler.

    Two of them undo each other's work, every fifteen seconds.
    """
    target = scaler.spec.at("scaleTargetRef")
    for other in inventory.of(_HPA, _SCALED):
        if (other.type, other.name) == (scaler.type, scaler.name):
            continue  # itself, or another version of it
        same = other.spec.at("scaleTargetRef", "name").text == target.at("name").text
        if same and target.at("name").text and other.beside(scaler):
            complaint = f"expected one autoscaler: {other.kind} {other.name} has this target too"
            yield target.at("name").problem(complaint)


@rule("advice", "NodePool.karpenter.sh")
def nodepool_without_limits(pool: Object, _: Inventory) -> Iterator[Problem]:
    """A NodePool has limits.

    Without them a mistake elsewhere, or a run of chaos that keeps pods pending, buys GPU nodes without end.
    """
    if not pool.spec.at("limits").mapping:
        yield pool.spec.at("limits").problem("expected this key (how much it may buy)")
