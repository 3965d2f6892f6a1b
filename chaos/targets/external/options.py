"""The external target's own section of an experiment file: where the service is, and what else may be asked of it."""

import os
from collections.abc import Iterator, Sequence
from typing import ClassVar

from chaos.reading.documents import Problem
from chaos.reading.strict import Listed, Text
from chaos.targets import Asked, Target
from chaos.targets.base_url import BaseUrl
from chaos.targets.effects import Fidelity
from chaos.targets.external import lost_faults
from chaos.targets.external.service import Service
from chaos.targets.external.target import ExternalTarget, fidelity
from chaos.targets.options import LostRun, Opening, Planned, TargetOptions
from loadtests.endpoint import API_KEY


class ExternalOptions(TargetOptions):
    """A service that runs already: nothing of it is started, and nothing of it ended."""

    kind: ClassVar[str] = "external"

    url: BaseUrl
    """the service's base URL, with or without `/v1`"""
    model: Text | None = None
    """which model to ask; absent: the first that the service lists"""
    api_key_env: Text | None = None
    """the environment variable that holds the API key; absent: OPENAI_API_KEY, if it is set"""
    metrics: Listed[BaseUrl] = ()
    """expositions of its replicas, to learn which engine they are"""
    prometheus: BaseUrl | None = None
    """a Prometheus that scrapes it: series and alerts of the run are kept from there"""
    gateway_metrics: BaseUrl | None = None
    """exposition of an aftershock gateway in front of it: its counts are compared with the client's"""

    @property
    def wanted_replicas(self) -> int:
        """0: they cannot be seen."""
        return 0

    @property
    def service_url(self) -> str:
        """Where it is."""
        return self.url

    @property
    def has_prometheus(self) -> bool:
        """Where one is named."""
        return self.prometheus is not None

    @property
    def about(self) -> str:
        """What is about to be asked."""
        return f"the service at {self.url}"

    def problems(self) -> Iterator[Problem]:
        """A key that is named must be there."""
        if self.api_key_env is not None and not os.environ.get(self.api_key_env):
            complaint = "expected a variable of the environment with a key in it"
            yield Problem(("api_key_env",), complaint, self.api_key_env)

    def planned(self, seed: int | None) -> Planned:  # noqa: ARG002 - nothing of it is drawn
        """Nothing that could be selected."""
        return Planned((), ())

    def fidelity(self, fault: Asked) -> Fidelity:
        """How close the target comes to a fault."""
        return fidelity(fault)

    def open(self, opening: Opening) -> Target:
        """The service for one run."""
        service = Service(
            url=self.url,
            model=opening.model or self.model,
            api_key=os.environ.get(opening.api_key_env or self.api_key_env or API_KEY, ""),
            ignore_eos=opening.ignore_eos,
            body=opening.body,
            metrics_urls=self.metrics,
            prometheus_url=self.prometheus,
            gateway_metrics_url=self.gateway_metrics,
        )
        return ExternalTarget(service, opening)

    @classmethod
    def lost(cls) -> Sequence[LostRun]:
        """Faults of commands that are still in force though their run is gone."""
        return lost_faults.find()
