"""Rules on what every workload is made of: labels, images, probes, the way it ends, where it runs."""

import re
from collections.abc import Iterator

from chaos.lint.objects import Inventory, Object, selects
from chaos.lint.place import Place
from chaos.lint.pods import Pods, loads_a_model
from chaos.lint.rule import pod_rule, rule
from chaos.reading.documents import Problem

_SLOW_START_S = 600
"""How long a model may take from the first second to its first answer: tens of gigabytes from a registry or a disk."""
_GRACE_S = 30
"""Kubernetes' terminationGracePeriodSeconds where none is said."""
_SLEEP = re.compile(r"\bsleep\s+(\d{1,6})\b")


@rule("error", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")
def selector_without_labels(workload: Object, _: Inventory) -> Iterator[Problem]:
    """The pods of a workload have the labels that its selector wants.

    Otherwise the API server refuses it: it would never find its own pods.
    """
    selector = workload.spec.at("selector")
    labels = workload.spec.at("template", "metadata", "labels")
    if selector.mapping and not selects(selector, labels.labels):
        wanted = ", ".join(f"{key}: {value}" for key, value in selector.at("matchLabels").labels.items())
        yield labels.problem(f"expected the labels of the selector ({wanted or 'see matchExpressions'})")


@pod_rule("error")
def liveness_without_startup(pods: Pods, _: Inventory) -> Iterator[Problem]:
    """A container that loads a model has a startup probe beside its liveness probe.

    Until the model is loaded it answers nothing. A liveness probe alone kills it before it is, again and
    again; one that waits long enough for that finds a hang just as late, for ever after.
    """
    for container in pods.containers():
        probe = container.at("livenessProbe")
        if not probe.mapping or container.at("startupProbe").mapping or not loads_a_model(container):
            continue
        delay = probe.at("initialDelaySeconds").number or 0
        period = probe.at("periodSeconds").number or 10
        patience_s = delay + period * (probe.at("failureThreshold").number or 3)
        if patience_s < _SLOW_START_S:
            yield container.at("startupProbe").problem(
                f"expected this key: the liveness probe kills what has not loaded its model after {patience_s} s"
            )


@pod_rule("advice")
def model_without_readiness(pods: Pods, _: Inventory) -> Iterator[Problem]:
    """A container that loads a model and listens has a readiness probe.

    Without one it gets requests from its first second on, and goes on getting them while it drains.
    """
    for container in pods.containers():
        if container.at("ports").each() and loads_a_model(container):
            probe = container.at("readinessProbe")
            if not probe.mapping:
                yield probe.problem("expected this key (whether it can answer)")


@pod_rule("error")
def grace_shorter_than_drain(pods: Pods, _: Inventory) -> Iterator[Problem]:
    """A pod's grace is longer than what its preStop hooks wait for.

    The grace begins with the hook: where the hook takes all of it, the process gets SIGKILL in place of
    SIGTERM, and its streams are cut.
    """
    grace = pods.spec.at("terminationGracePeriodSeconds")
    grace_s = _GRACE_S if grace.number is None else grace.number
    for container in pods.containers():
        hook = container.at("lifecycle", "preStop")
        if (waits_s := _waits_s(hook)) is not None and waits_s >= grace_s:
            yield grace.problem(f"expected more than {waits_s} s, which preStop of {_name(container)} waits")


def _waits_s(hook: Place) -> int | None:
    slept = hook.at("sleep", "seconds").number
    command = " ".join(word.text for word in hook.at("exec", "command").each())
    commanded = [int(seconds) for seconds in _SLEEP.findall(command)]
    return slept if slept is not None else sum(commanded) if commanded else None


def _name(container: Place) -> str:
    return container.at("name").text or "a container"


@pod_rule("advice")
def grace_of_a_model(pods: Pods, _: Inventory) -> Iterator[Problem]:
    """A pod that streams answers says how long it may take to end.

    Kubernetes' own 30 s cut every answer that takes longer, at each rollout and each drain of a node.
    """
    grace = pods.spec.at("terminationGracePeriodSeconds")
    if not grace.exists and any(loads_a_model(container) for container in pods.containers()):
        yield grace.problem("expected this key (longer than the longest answer)")


@pod_rule("error")
def unpinned_image(pods: Pods, inventory: Inventory) -> Iterator[Problem]:
    """An image has a tag other than `latest`, or a digest.

    Otherwise two replicas of one rollout can be two programs, and a replica that comes back after a fault
    is not the one that went. Where a kustomization sets the tag, it is as good.
    """
    for container in pods.all_containers():
        image = container.at("image")
        name, _, digest = image.text.partition("@")
        repository, _, tag = name.rpartition(":")
        if "/" in tag:  # the colon was that of a registry's port
            repository, tag = name, ""
        known = (repository or name) in inventory.given_tags
        if image.text and not digest and not known and (not repository or tag in ("", "latest")):
            yield image.problem("expected a tag other than latest, or a digest")


@pod_rule("advice")
def no_spread(pods: Pods, _: Inventory) -> Iterator[Problem]:
    """Replicas of a workload that has several are spread over nodes or zones.

    Otherwise the scheduler may put all of them on one node, and its loss is the loss of the service.
    """
    spread = pods.spec.at("topologySpreadConstraints")
    apart = pods.spec.at("affinity", "podAntiAffinity").mapping
    if (pods.replicas or 0) > 1 and not spread.each() and not apart:
        yield spread.problem(f"expected this key, for {pods.replicas} replicas")


@pod_rule("advice")
def no_requests(pods: Pods, _: Inventory) -> Iterator[Problem]:
    """A container requests cpu and memory.

    Without requests it is the first to be evicted, and the scheduler puts any number of them on one node.
    """
    for container in pods.containers():
        resources = container.at("resources")
        for name in ("cpu", "memory"):
            if not (resources.at("requests", name).exists or resources.at("limits", name).exists):
                yield resources.at("requests", name).problem("expected this key (how much of it is sure)")
