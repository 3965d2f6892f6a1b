"""Names as a Deployment gives them, and places: `reference-server-7d4b9c6f5-x2k8p` on `node-zone-a`."""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from chaos.targets import Node, Replica
from chaos.targets.local.spec import SLO_VARIABLE, LocalSpec

# Kubernetes' safe alphabet (k8s.io/apimachinery/pkg/util/rand): no vowels, no digits that look like letters.
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
GATEWAY, PROMETHEUS = "inference-gateway", "prometheus"
"""The callers that replicas have here, by their label `app`: each has a way of its own through the proxy."""
PEERS = "peers"
"""Whoever else is in the network of a replica: the pinger stands for them, and no fault means them alone."""
PORTS = {GATEWAY: 8000, PROMETHEUS: 8081}
"""At which each of them calls a replica, as a manifest has it: here every replica has other ports, drawn for it."""
ZONE_LABEL = "topology.kubernetes.io/zone"


class Names:
    """Draws replica names, never the same twice; repeatable when the spec has a seed."""

    def __init__(self, spec: LocalSpec) -> None:
        self._prefix = f"{spec.app}-{template_hash(spec)}"
        self._rng: random.Random = (
            random.SystemRandom() if spec.name_seed is None else random.Random(spec.name_seed)  # noqa: S311 - names
        )
        self._given: set[str] = set()

    def draw(self) -> str:
        """The next name."""
        while True:
            name = f"{self._prefix}-{''.join(self._rng.choices(_ALPHABET, k=5))}"
            if name not in self._given:
                self._given.add(name)
                return name


def template_hash(spec: LocalSpec) -> str:
    """Stands for what replicas are made from, as the label pod-template-hash does: equal for equal."""
    # A file in the run folder is named otherwise in each run, and a seed is to repeat the names.
    env = {name: value for name, value in spec.env.items() if name != SLO_VARIABLE}
    template = (spec.app, spec.command, env, dict(spec.labels))
    number = int.from_bytes(hashlib.sha256(json.dumps(template, sort_keys=True).encode()).digest()[:8])
    return "".join(_ALPHABET[number // len(_ALPHABET) ** place % len(_ALPHABET)] for place in range(9))


def labels(spec: LocalSpec, zone: str) -> dict[str, str]:
    """A replica's labels."""
    return {**spec.labels, "app": spec.app, "zone": zone, "pod-template-hash": template_hash(spec)}


def callers(spec: LocalSpec) -> dict[str, dict[str, str]]:
    """Who calls replicas, with the labels by which a fault may mean them: both live in the first zone."""
    present = (GATEWAY, PROMETHEUS) if spec.prometheus else (GATEWAY,)
    return {app: {"app": app, "zone": spec.zones[0], ZONE_LABEL: spec.zones[0]} for app in present}


def meant(spec: LocalSpec, toward: Mapping[str, str] | None) -> tuple[str, ...]:
    """The callers that have these labels; None means everybody."""
    wanted = (toward or {}).items()
    return tuple(caller for caller, labels in callers(spec).items() if wanted <= labels.items())


def ways(spec: LocalSpec, toward: Mapping[str, str] | None) -> tuple[str, ...]:
    """Whose ways to a replica a link is on: those of the callers meant, and of its peers where everybody is."""
    return meant(spec, toward) + ((PEERS,) if spec.pings and not toward else ())


def calling(spec: LocalSpec, port: int) -> tuple[str, ...]:
    """The callers that call at this port of a manifest; nobody at any but those of `PORTS`."""
    ports = PORTS if spec.metrics_apart else dict.fromkeys(PORTS, PORTS[GATEWAY])
    return tuple(caller for caller in callers(spec) if ports[caller] == port)


def route(caller: str, replica: str) -> str:
    """What the proxy calls a caller's way to a replica: the gateway's has the replica's own name."""
    return replica if caller == GATEWAY else f"{replica} from {caller}"


def node_name(zone: str) -> str:
    """The one node of a zone."""
    return f"node-{zone}"


def nodes(spec: LocalSpec) -> list[Node]:
    """One node per zone."""
    return [
        Node(node_name(zone), {ZONE_LABEL: zone, "kubernetes.io/hostname": node_name(zone)})
        for zone in spec.zones
    ]


def emptiest(zones: Sequence[str], occupied: Iterable[str]) -> str:
    """The zone with the fewest replicas, the first of equals: an even spread, round robin from empty."""
    count = Counter(occupied)
    return min(zones, key=lambda zone: count[zone])


def planned(spec: LocalSpec) -> list[Replica]:
    """The replicas that a cluster of this spec starts with; names hold if it has a seed. Touches nothing."""
    names, replicas = Names(spec), []
    for index in range(spec.replicas):
        zone = spec.zones[index % len(spec.zones)]
        replicas.append(replica(spec, names.draw(), "", zone))
    return replicas


def replica(
    spec: LocalSpec, name: str, uid: str, zone: str, *, phase: str = "Running", ready: bool = True
) -> Replica:
    """A replica as a selector sees it."""
    return Replica(
        name=name,
        namespace=spec.namespace,
        uid=uid,
        labels=labels(spec, zone),
        annotations={},
        node=node_name(zone),
        phase=phase,
        ready=ready,
        fields=FIELDS,
    )


FIELDS = {
    "spec.restartPolicy": "Always",
    "spec.schedulerName": "default-scheduler",
    "spec.serviceAccountName": "default",
    "status.podIP": "127.0.0.1",
    "status.nominatedNodeName": "",
}
"""What field selectors find beside name, namespace, node and phase: a Deployment's defaults."""
