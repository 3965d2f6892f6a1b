"""The rule on who is scraped: replicas, never the Service in front of them."""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from chaos.lint.objects import Inventory, Object
from chaos.lint.pods import all_pods
from chaos.lint.rule import rule
from chaos.lint.texts import files
from chaos.reading.documents import Problem
from chaos.reading.yaml_nodes import Loader

_HOST = re.compile(r"(?:\w+://)?([^:/]+)")
_OF_SERVICE = re.compile(r"([a-z0-9-]+)\.([a-z0-9-]+)\.svc(\.[a-z0-9.-]+)?\.?")


@rule("error", "ConfigMap", "Secret", "ScrapeConfig.monitoring.coreos.com")
def service_as_static_target(each: Object, inventory: Inventory) -> Iterator[Problem]:
    """Prometheus finds its targets by service discovery, not by the DNS name of a Service.

    A Service's name leads to another replica at each scrape: counters jump back and forth, rates are
    nonsense, and a dead replica is never `up == 0`. The name of one pod
    (`replica-0.replicas.inference.svc`), and a Service of a single replica, are as good.
    """
    for config in each.spec.at("staticConfigs").each():
        for target in config.at("targets").each():
            if _leads_to_many(target.text, inventory):
                yield target.problem("expected a pod or discovery (kubernetesSDConfigs), not a Service")
    for _, file in files(each):
        if "static_configs" in file.text:
            for name in _static_targets(file.text):
                if _leads_to_many(name, inventory):
                    yield Problem(
                        file.key_path,
                        f"expected kubernetes_sd_configs in place of the Service {name!r} as a static target",
                    )


def _leads_to_many(target: str, inventory: Inventory) -> bool:
    """Whether a target is a Service of several replicas, or of a number that nobody here knows."""
    found = _HOST.match(target)
    host = found[1] if found else ""
    in_full = _OF_SERVICE.fullmatch(host)
    name, _, namespace = host.partition(".")
    if in_full:
        name, namespace = in_full[1], in_full[2]
    services = [
        service
        for service in inventory.of("Service")
        if service.name == name and service.namespace in (namespace, "")
    ]
    services += [one for one in inventory.of("Service") if one.name == name and not namespace]
    if not services:
        return in_full is not None
    return not all(_is_of_one(service, inventory) for service in services)


def _is_of_one(service: Object, inventory: Inventory) -> bool:
    wanted = service.spec.at("selector").labels
    selected = [
        pods
        for pods in all_pods(inventory)
        if wanted and pods.owner.beside(service) and wanted.items() <= pods.labels.items()
    ]
    return len(selected) == 1 and selected[0].replicas == 1


def _static_targets(text: str) -> Iterator[str]:
    """The targets of every `static_configs` of a Prometheus' configuration; none where it is no YAML."""
    try:
        values = Loader(text).get_single_data()
    except (yaml.YAMLError, ValueError):
        return
    seen: set[int] = set()
    waiting: list[Any] = [values]
    while waiting:
        value = waiting.pop()
        if id(value) in seen or not isinstance(value, dict | list):
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            for config in value["static_configs"] if isinstance(value.get("static_configs"), list) else []:
                targets = config.get("targets") if isinstance(config, dict) else None
                yield from (each for each in targets or [] if isinstance(each, str))
        waiting += value.values() if isinstance(value, dict) else value
