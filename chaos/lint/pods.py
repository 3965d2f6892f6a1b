"""The pods that objects make: their templates, their containers, and which of those load a model or want a GPU."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from chaos.lint.objects import Inventory, Object
from chaos.lint.place import Place

_EACH = "[]"
_RAY = (("headGroupSpec", "template"), ("workerGroupSpecs", _EACH, "template"))
_TEMPLATES: dict[str, tuple[tuple[str, ...], ...]] = {
    "Pod": ((),),
    "CronJob": (("spec", "jobTemplate", "spec", "template"),),
    "JobSet.jobset.x-k8s.io": (("spec", "replicatedJobs", _EACH, "template", "spec", "template"),),
    "LeaderWorkerSet.leaderworkerset.x-k8s.io": (
        ("spec", "leaderWorkerTemplate", "leaderTemplate"),
        ("spec", "leaderWorkerTemplate", "workerTemplate"),
    ),
    "RayCluster.ray.io": tuple(("spec", *keys) for keys in _RAY),
    "RayJob.ray.io": tuple(("spec", "rayClusterSpec", *keys) for keys in _RAY),
    "RayService.ray.io": tuple(("spec", "rayClusterConfig", *keys) for keys in _RAY),
}
"""Where the templates of pods stand, in each kind that has any."""
_TEMPLATES |= dict.fromkeys(
    (
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "ReplicaSet",
        "ReplicationController",
        "Job",
        "Rollout.argoproj.io",
        "Service.serving.knative.dev",
    ),
    (("spec", "template"),),
)
_GPU = re.compile(
    r"nvidia\.com/.+|amd\.com/gpu.*|gpu\.intel\.com/.+|habana\.ai/.+|huawei\.com/.+|google\.com/tpu|aws\.amazon\.com/neuron.*"
)
_ENGINE = re.compile(
    r"vllm|sglang|text-generation-inference|tritonserver|tensorrt|trt-?llm|lmdeploy|llama|deepseek|ollama"
    r"|reference[-_]server",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Pods:
    """The pods of one template of one object."""

    owner: Object
    template: Place

    @property
    def spec(self) -> Place:
        """Of each of them."""
        return self.template.at("spec")

    @property
    def labels(self) -> dict[str, str]:
        """Of each of them."""
        return self.template.at("metadata", "labels").labels

    @property
    def replicas(self) -> int | None:
        """How many there are to be; None where their number is somebody else's matter."""
        if self.owner.type not in ("Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"):
            return None
        wanted = self.owner.spec.at("replicas")
        return wanted.number if wanted.exists else 1

    def containers(self) -> tuple[Place, ...]:
        """The containers that run as long as the pod."""
        return self.spec.at("containers").each()

    def all_containers(self) -> tuple[Place, ...]:
        """Those that only prepare it too."""
        return (*self.spec.at("initContainers").each(), *self.containers())


def pods_of(each: Object) -> Iterator[Pods]:
    """Those that one object makes, a template at a time."""
    for keys in _TEMPLATES.get(each.type, ()):
        found = [each.root]
        for key in keys:
            found = [
                inner for place in found for inner in (place.each() if key == _EACH else [place.at(key)])
            ]
        yield from (Pods(each, template) for template in found if template.exists)


def all_pods(inventory: Inventory) -> Iterator[Pods]:
    """Those that all objects make."""
    return (pods for each in inventory.objects for pods in pods_of(each))


def gpus(container: Place) -> tuple[Place, ...]:
    """What it requests and is limited to of GPUs, under whichever vendor's name."""
    resources = container.at("resources")
    return tuple(
        amount
        for part in ("limits", "requests")
        for name, amount in resources.at(part).entries()
        if _GPU.fullmatch(name)
    )


def is_gpu(name: str) -> bool:
    """Whether it is the name of a resource that stands for a GPU or its like."""
    return _GPU.fullmatch(name) is not None


def program(container: Place) -> str:
    """What it runs: image, command, and the first argument."""
    command = [each.text for each in container.at("command").each()]
    arguments = [each.text for each in container.at("args").each()]
    return " ".join([container.at("image").text, *command, *arguments[:1]])


def loads_a_model(container: Place) -> bool:
    """Whether it is, by its image, command or GPU, a server that has to load a model first."""
    return bool(gpus(container)) or _ENGINE.search(program(container)) is not None
