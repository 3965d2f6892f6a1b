"""Rules on GPUs as resources."""

import re
from collections.abc import Iterator

from chaos.lint.objects import Inventory, Object
from chaos.lint.place import Place
from chaos.lint.pods import Pods, gpus, is_gpu, program
from chaos.lint.rule import pod_rule, rule
from chaos.reading.documents import Problem

_OF_GPUS = re.compile(
    r"vllm/vllm-openai|sglang|text-generation-inference|tritonserver|tensorrt|trt-?llm|lmdeploy",
    re.IGNORECASE,
)
_OF_CPUS = re.compile(r"\bcpu\b|-cpu|cpu-", re.IGNORECASE)


@pod_rule("error")
def gpu_request_not_limit(pods: Pods, _: Inventory) -> Iterator[Problem]:
    """A GPU stands in the limits, as a whole number, and in the requests with the same number or not at all.

    A GPU cannot be overcommitted: anything else is refused by the API server.
    """
    for container in pods.all_containers():
        resources = container.at("resources")
        for name, request in resources.at("requests").entries():
            limit = resources.at("limits", name)
            if is_gpu(name) and not limit.exists:
                yield limit.problem("expected this key: a GPU stands in the limits")
            elif is_gpu(name) and str(request.value) != str(limit.value):
                yield request.problem(f"expected {limit.value}, as in the limits")
        for name, limit in resources.at("limits").entries():
            if is_gpu(name) and not re.fullmatch(r"\d+", str(limit.value)):
                yield limit.problem("expected a whole number of GPUs")


@pod_rule("error")
def gpu_not_requested(pods: Pods, _: Inventory) -> Iterator[Problem]:
    """A container that uses GPUs has them in its limits, or claims them as devices.

    A container that sees GPUs without asking for them (by NVIDIA_VISIBLE_DEVICES, or on a node where all
    do) shares them with whomever the scheduler gives them to, and both run out of memory; elsewhere it
    starts without one.
    """
    wanted = any(gpus(container) for container in pods.all_containers())
    claimed = pods.spec.at("resourceClaims").each()
    if wanted or claimed:
        return
    for container in pods.containers():
        sign = _sign(pods, container)
        if sign:
            name = "nvidia.com/gpu"
            yield container.at("resources", "limits", name).problem(f"expected this key, because of {sign}")


def _sign(pods: Pods, container: Place) -> str:
    """What says that a container uses GPUs; empty where nothing does."""
    names = {each.at("name").text: each.at("value").text for each in container.at("env").each()}
    if names.get("NVIDIA_VISIBLE_DEVICES", "none") not in ("none", "void", ""):
        return "NVIDIA_VISIBLE_DEVICES"
    if pods.spec.at("runtimeClassName").text == "nvidia":
        return "runtimeClassName nvidia"
    if pods.owner.type in ("Job", "CronJob"):
        return ""  # the images of engines prepare models too, on any node
    what = program(container)
    found = _OF_GPUS.search(what)
    return f"its image or command ({found[0]})" if found and not _OF_CPUS.search(what) else ""


@rule("error", "ResourceQuota")
def gpu_quota(quota: Object, _: Inventory) -> Iterator[Problem]:
    """A quota of GPUs is written `requests.nvidia.com/gpu`.

    For extended resources a quota knows requests alone: any other key limits nothing.
    """
    for name, amount in quota.spec.at("hard").entries():
        if is_gpu(name.removeprefix("limits.")):
            bare = name.removeprefix("limits.")
            yield Problem(amount.key_path, f"expected the key requests.{bare}", amount.value)
