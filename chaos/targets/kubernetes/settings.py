"""What a run is told of a cluster: plain data, made of its section of the experiment file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chaos.targets.kubernetes.api import Api
from chaos.targets.kubernetes.undoing.lost_objects import Whereabouts
from chaos.targets.service_names import of_service_url, service_names


@dataclass(frozen=True, slots=True)
class Workload:
    """What keeps the number of replicas."""

    kind: str
    """Deployment or StatefulSet."""
    name: str

    @property
    def plural(self) -> str:
        """As the API has it."""
        return f"{self.kind.lower()}s"


@dataclass(frozen=True, slots=True)
class Settings:
    """A namespace of a cluster, and what of it is under experiment."""

    where: Whereabouts
    selector: Mapping[str, str]
    """Labels of the replicas."""
    workload: Workload | None = None
    replicas: int | None = None
    """How many there should be; None for what the workload says."""
    url: str | None = None
    service: str | None = None
    """Whose pods a port-forward of ours goes to, where there is no URL, and whose names lead to where it is reached."""
    model: str | None = None
    api_key: str = field(default="", repr=False)
    prometheus_url: str | None = None
    gateway_metrics_url: str | None = None
    metrics_port: int | None = None
    """Of the replicas."""
    inject_within_s: float = 10.0
    ready_within_s: float = 120.0

    @property
    def namespace(self) -> str:
        """Where it all is."""
        return self.where.namespace

    @property
    def labels(self) -> str:
        """The selector as the API takes it."""
        return ",".join(f"{name}={value}" for name, value in self.selector.items())

    @property
    def service_names(self) -> tuple[str, ...]:
        """Hosts by which whoever is in the cluster reaches the service; none where nobody says what it is called."""
        if self.service is not None:
            return service_names(self.service, self.namespace)
        return () if self.url is None else of_service_url(self.url, self.namespace)

    def connect(self) -> Api:
        """Raises InputError where there is no such cluster, or the client is not installed."""
        if self.where.in_cluster:
            return Api.in_cluster()
        kubeconfig = self.where.kubeconfig
        return Api.connect(self.where.context, Path(kubeconfig) if kubeconfig else None)
