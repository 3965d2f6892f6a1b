"""What of a cluster an experiment would meet: asked once, read-only."""

from chaos.targets import Node
from chaos.targets.kubernetes.api import Api
from chaos.targets.kubernetes.guards import refusal
from chaos.targets.kubernetes.objects import FORBIDDEN, ApiError, Collection, Item, pods
from chaos.targets.kubernetes.pods import node, replica
from chaos.targets.kubernetes.settings import Settings
from chaos.targets.options import Planned

_CALL_S = 10.0


def of(api: Api, settings: Settings) -> Planned:
    """The replicas and nodes that there are.

    Raises:
        AftershockError: the API server does not say.
    """
    where = pods(settings.namespace)
    try:
        items = api.listing(where, labels=settings.labels, within_s=_CALL_S).items
    except ApiError as error:
        raise refusal(error, "list", where.resource, settings.namespace) from error
    replicas = sorted((replica(item) for item in items), key=lambda one: one.name)
    return Planned(tuple(replicas), nodes(api, items), namespace=settings.namespace, there=True)


def nodes(api: Api, items: tuple[Item, ...]) -> tuple[Node, ...]:
    """Every node; where this account may not list them, those that replicas are on, without labels."""
    try:
        return tuple(
            node(one) for one in api.listing(Collection("", "v1", "nodes", ""), within_s=_CALL_S).items
        )
    except ApiError as error:
        if error.status != FORBIDDEN:
            raise refusal(error, "list", "nodes", "") from error
    names = {(item.get("spec") or {}).get("nodeName") or "" for item in items} - {""}
    return tuple(Node(name) for name in sorted(names))


def wanted(api: Api, settings: Settings) -> int:
    """How many replicas there should be: as the file says, else as their workload does.

    Raises:
        AftershockError: the API server does not say, or there is no such workload.
    """
    workload = settings.workload
    if settings.replicas is not None or workload is None:
        return settings.replicas or 0
    place = Collection("apps", "v1", workload.plural, settings.namespace) / workload.name
    try:
        found = api.get(place, within_s=_CALL_S)
    except ApiError as error:
        raise refusal(error, "get", place.collection.resource, settings.namespace) from error
    if found is None:
        raise refusal(ApiError(404, f"there is no {workload.kind} {workload.name}"), "get", f"{place}", "")
    return int((found.get("spec") or {}).get("replicas") or 0)
