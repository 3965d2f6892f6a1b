"""The Kubernetes target's own section of an experiment file: which replicas, and how they are reached."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from chaos.errors import InputError
from chaos.reading.documents import Problem
from chaos.reading.names import DnsLabel, DnsSubdomain, LabelKey, LabelValue
from chaos.reading.quantities import Duration
from chaos.reading.strict import Count, Strict, Text
from chaos.targets import Asked, Target
from chaos.targets.base_url import BaseUrl
from chaos.targets.effects import Fidelity
from chaos.targets.kubernetes import sight
from chaos.targets.kubernetes.fidelity import KIND, fidelity
from chaos.targets.kubernetes.guards import PROTECTED
from chaos.targets.kubernetes.objects import ApiError
from chaos.targets.kubernetes.rehearsal import rehearse
from chaos.targets.kubernetes.settings import Settings
from chaos.targets.kubernetes.settings import Workload as WorkloadName
from chaos.targets.kubernetes.target import KubernetesTarget
from chaos.targets.kubernetes.undoing import lost_objects
from chaos.targets.kubernetes.undoing.lost_objects import Whereabouts
from chaos.targets.options import LostRun, Opening, Planned, Rehearsed, TargetOptions
from chaos.targets.service_names import names_service
from loadtests.endpoint import API_KEY

IN_CLUSTER = "in-cluster"


class Workload(Strict):
    """What keeps the number of replicas."""

    kind: Literal["Deployment", "StatefulSet"] = "Deployment"
    """what keeps the replicas: Deployment or StatefulSet"""
    name: DnsSubdomain
    """its name"""


class KubernetesOptions(TargetOptions):
    """Replicas that run already in a namespace of a cluster with Chaos Mesh in it: nothing of them is started."""

    kind: ClassVar[str] = KIND

    namespace: DnsLabel
    """where the replicas are; it must be annotated `aftershock.dev/allowed: "true"`"""
    selector: Mapping[LabelKey, LabelValue]
    """labels that all replicas have, and nothing else in the namespace"""
    context: Text | None = None
    """of the kubeconfig; absent: its current one; `in-cluster`: the cluster of the pod that aftershock runs in"""
    workload: Workload | None = None
    """what keeps the replicas: it says how many there should be"""
    replicas: Count | None = None
    """how many there should be, where no workload says so"""
    url: BaseUrl | None = None
    """base URL of their Service or Ingress, as reached from here"""
    service: DnsSubdomain | None = None
    """their Service: without a `url` they are reached by it, through a port-forward of aftershock's own; its names in \
a StatusCheck's URL lead to where they are reached"""
    model: Text | None = None
    """which model to ask; absent: the first that the service lists"""
    api_key_env: Text | None = None
    """the environment variable that holds the API key; absent: OPENAI_API_KEY, if it is set"""
    prometheus: BaseUrl | None = None
    """a Prometheus that scrapes them, as reached from here: series and alerts of the run are kept from there"""
    gateway_metrics: BaseUrl | None = None
    """exposition of an aftershock gateway in front of them: its counts are compared with the client's"""
    metrics_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """of the replicas' expositions, which are read at the pods' own addresses, and by the proof of a bandwidth"""
    ready_within_s: Duration = Field(default=120.0, alias="ready_within")
    """how long is waited for all replicas to be ready before anything is loaded"""
    inject_within_s: Duration = Field(default=10.0, alias="inject_within")
    """how long Chaos Mesh may take to inject a fault; it is taken back then"""

    @property
    def wanted_replicas(self) -> int:
        """As the file says; 0 where its workload will."""
        return self.replicas or 0

    @property
    def sees_replicas(self) -> bool:
        """Always: they are watched."""
        return True

    @property
    def service_url(self) -> str | None:
        """Where they are, as far as the file says it."""
        return self.url

    @property
    def has_prometheus(self) -> bool:
        """Where one is named."""
        return self.prometheus is not None

    @property
    def about(self) -> str:
        """What is about to be asked."""
        return f"the replicas in {self.where}"

    @property
    def where(self) -> Whereabouts:
        """Where they are, as this machine reaches it."""
        in_cluster = self.context == IN_CLUSTER
        return Whereabouts(
            namespace=self.namespace,
            context=None if in_cluster else self.context,
            kubeconfig=None if in_cluster else os.environ.get("KUBECONFIG"),
            in_cluster=in_cluster,
        )

    def problems(self) -> Iterator[Problem]:
        """What goes with what."""
        if not self.selector:
            yield Problem(("selector",), "expected at least one label: an empty selector is everybody", {})
        if self.namespace in PROTECTED:
            yield Problem(("namespace",), f"expected none of {', '.join(PROTECTED)}", self.namespace)
        if (self.workload is None) == (self.replicas is None):
            yield Problem(("workload",), "expected either a workload or a number of replicas")
        if self.url is None and self.service is None:
            yield Problem(("url",), "expected a url, or a service to forward a port to")
        if self.api_key_env is not None and not os.environ.get(self.api_key_env):
            complaint = "expected a variable of the environment with a key in it"
            yield Problem(("api_key_env",), complaint, self.api_key_env)

    def planned(self, seed: int | None) -> Planned:  # noqa: ARG002 - nothing of it is drawn
        """Nothing is known before the cluster is asked, but the namespace."""
        return Planned((), (), namespace=self.namespace, unknown="the cluster was not asked")

    def present(self, seed: int | None) -> Planned:  # noqa: ARG002 - nothing of it is drawn
        """The replicas and nodes that there are now.

        Raises:
            AftershockError: the cluster does not say.
        """
        with closing(self._settings().connect()) as api:
            return sight.of(api, self._settings())

    def lacks(self) -> Iterator[str]:
        """That the client is there, and an API server that answers."""
        try:
            with closing(self._settings().connect()) as api:
                api.version(within_s=2.0)
        except InputError as error:
            yield f"{error}"
        except ApiError as error:
            yield f"there is no cluster to be reached: {error}"

    def rehearse(self, faults: Sequence[Rehearsed]) -> Iterator[str]:
        """Have the API server check each object that a run would create; a line for each.

        Raises:
            AftershockError: it would not take one, or a guard objects.
        """
        with closing(self._settings().connect()) as api:
            yield from rehearse(api, self._settings(), faults)

    def cannot_ask(self, url: str) -> str | None:
        """Why the runner cannot ask a URL of a StatusCheck; None where it can."""
        names = self._settings().service_names
        if self.where.in_cluster or names_service(url, names):
            return None
        own = (
            f"names their Service, as in http://{names[2]}/, "
            if names
            else "`service` says whose names lead there, "
        )
        return f"whose host means something in the cluster alone: expected a URL that {own}or `context: {IN_CLUSTER}`"

    def fidelity(self, fault: Asked) -> Fidelity:
        """How close the target comes to a fault."""
        return fidelity(fault)

    def open(self, opening: Opening) -> Target:
        """The replicas for one run."""
        return KubernetesTarget(self._settings(opening.api_key_env), opening)

    @classmethod
    def lost(cls) -> Sequence[LostRun]:
        """Runs whose runner is gone, on record on this machine."""
        return lost_objects.find()

    def _settings(self, api_key_env: str | None = None) -> Settings:
        workload = self.workload
        return Settings(
            where=self.where,
            selector=self.selector,
            workload=None if workload is None else WorkloadName(workload.kind, workload.name),
            replicas=self.replicas,
            url=self.url,
            service=self.service,
            model=self.model,
            api_key=os.environ.get(api_key_env or self.api_key_env or API_KEY, ""),
            prometheus_url=self.prometheus,
            gateway_metrics_url=self.gateway_metrics,
            metrics_port=self.metrics_port,
            inject_within_s=self.inject_within_s,
            ready_within_s=self.ready_within_s,
        )
