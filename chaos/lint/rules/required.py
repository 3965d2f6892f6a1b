"""The rule on what the schemas call optional, and no API server does."""

from collections.abc import Iterator

from chaos.lint.objects import Inventory, Object
from chaos.lint.pods import Pods, pods_of
from chaos.lint.rule import rule
from chaos.reading.documents import Problem

_WITH_SELECTOR = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")


@rule("error")
def required_field(each: Object, _: Inventory) -> Iterator[Problem]:
    """Whatever the API server asks for is there, also where the schema calls it optional.

    Containers and their images, the restart policy of a Job, the ports of a Service, the API of what an HPA scales, a
    selector that is not empty: without them the object is refused, after everything before it was applied.
    """
    for pods in pods_of(each):
        yield from _of_pods(pods)
    selector = each.spec.at("selector")
    conditions = selector.at("matchLabels").mapping or selector.at("matchExpressions").each()
    if each.type in _WITH_SELECTOR and selector.exists and not conditions:
        yield selector.problem("expected a condition: an empty selector is refused")
    if each.type == "Service":
        yield from _of_service(each)
    if each.type == "HorizontalPodAutoscaler":
        api = each.spec.at("scaleTargetRef", "apiVersion")
        if not api.exists:
            yield api.problem("expected this key (such as apps/v1)")


def _of_pods(pods: Pods) -> Iterator[Problem]:
    containers = pods.spec.at("containers")
    # A spec without containers is the schema's own matter.
    if not containers.each() and (containers.exists or not pods.spec.exists):
        yield containers.problem("expected at least one container")
    for container in pods.all_containers():
        if not container.at("image").text:
            yield container.at("image").problem("expected an image")
    policy = pods.spec.at("restartPolicy")
    if pods.owner.type in ("Job", "CronJob") and policy.value not in ("Never", "OnFailure"):
        yield policy.problem("expected Never or OnFailure")


def _of_service(service: Object) -> Iterator[Problem]:
    ports = service.spec.at("ports")
    portless = service.spec.at("type").text == "ExternalName" or service.spec.at("clusterIP").text == "None"
    if not ports.each() and not portless:
        yield ports.problem("expected at least one port")
