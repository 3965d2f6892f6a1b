"""Rules on who finds whom by labels and by the names of ports: Services, ServiceMonitors, PodMonitors."""

from collections.abc import Iterator, Sequence

from chaos.lint.objects import Inventory, Object, selects
from chaos.lint.place import Place
from chaos.lint.pods import all_pods
from chaos.lint.rule import rule
from chaos.reading.documents import Problem

_OF_SERVICES, _OF_PODS = "ServiceMonitor.monitoring.coreos.com", "PodMonitor.monitoring.coreos.com"


@rule("advice", "Service")
def service_of_nobody(service: Object, inventory: Inventory) -> Iterator[Problem]:
    """A Service selects pods of these files.

    One that selects nobody has no endpoints: its callers wait for a connection that nobody will take, and nothing says
    why.
    """
    wanted = service.spec.at("selector").labels
    found = (pods for pods in all_pods(inventory) if pods.owner.beside(service))
    if (
        wanted
        and not _by_controllers(wanted)
        and not any(wanted.items() <= pods.labels.items() for pods in found)
    ):
        yield service.spec.at("selector").problem(f"expected labels of pods in these files, {_shown(wanted)}")


@rule("advice", _OF_SERVICES, _OF_PODS)
def monitor_of_nobody(monitor: Object, inventory: Inventory) -> Iterator[Problem]:
    """A ServiceMonitor selects Services of these files, a PodMonitor pods.

    One that selects nobody is no error to anybody: its targets are missing from Prometheus, and every alert on them is
    silent.
    """
    selector = monitor.spec.at("selector")
    wanted = selector.at("matchLabels").labels
    if selector.mapping and not _by_controllers(wanted) and not _monitored(monitor, inventory):
        yield selector.problem(f"expected labels of somebody in these files, {_shown(wanted)}")


@rule("error", _OF_SERVICES, _OF_PODS)
def monitor_port(monitor: Object, inventory: Inventory) -> Iterator[Problem]:
    """A monitor names a port that somebody whom it selects has.

    Ports are found by their names, not by their numbers; one that nobody has is scraped from nobody, in silence.
    """
    found = _monitored(monitor, inventory)
    part = "endpoints" if monitor.type == _OF_SERVICES else "podMetricsEndpoints"
    names = {name for ports in found for name in ports}
    for endpoint in monitor.spec.at(part).each():
        port = endpoint.at("port")
        if found and port.text and port.text not in names:
            known = ", ".join(sorted(names)) or "none has a name"
            yield port.problem(f"expected the name of one of their ports ({known})")


def _monitored(monitor: Object, inventory: Inventory) -> Sequence[Sequence[str]]:
    """The names of the ports of each whom a monitor selects."""
    selector = monitor.spec.at("selector")
    elsewhere = monitor.spec.at("namespaceSelector").exists
    if monitor.type == _OF_SERVICES:
        return [
            _names(service.spec.at("ports"))
            for service in inventory.of("Service")
            if (elsewhere or service.beside(monitor))
            and selects(selector, service.root.at("metadata", "labels").labels)
        ]
    return [
        [name for container in pods.containers() for name in _names(container.at("ports"))]
        for pods in all_pods(inventory)
        if (elsewhere or pods.owner.beside(monitor)) and selects(selector, pods.labels)
    ]


def _by_controllers(labels: dict[str, str]) -> bool:
    """Whether some of them are such as controllers put on pods, which no file has."""
    domains = {key.partition("/")[0] for key in labels if "/" in key}
    return "job-name" in labels or bool(domains - {"app.kubernetes.io"})


def _names(ports: Place) -> list[str]:
    return [name for port in ports.each() if (name := port.at("name").text)]


def _shown(labels: dict[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in labels.items()) or "whichever"
