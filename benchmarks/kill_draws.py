"""What is drawn for a random kill: a short experiment with faults, which of its processes is hit, when, how often."""

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TOY = Path(__file__).parent.parent / "tests" / "support" / "toy_replica.py"
NAME = f"random-kill-{os.getpid()}"
"""What every experiment of this call is called, its seed behind it."""
VICTIMS = ("runner", "supervisor", "proxy", "gateway", "prometheus", "load", "standby", "replica")
LATEST_S = 14.0
"""Of a kill, after the start of the run: a few come when it is over by itself, and are drawn again."""

API = {"EngineChaos": "aftershock.dev/v1alpha1"}
POD, NETWORK, STRESS, ENGINE = "PodChaos", "NetworkChaos", "StressChaos", "EngineChaos"
MANIFESTS: dict[str, tuple[str, dict[str, object]]] = {
    "kill": (POD, {"action": "pod-kill"}),
    "failure": (POD, {"action": "pod-failure", "duration": "3s"}),
    "container": (POD, {"action": "container-kill", "containerNames": ["reference-server"]}),
    "delay": (NETWORK, {"action": "delay", "delay": {"latency": "100ms"}, "duration": "3s"}),
    "loss": (NETWORK, {"action": "loss", "loss": {"loss": "30"}, "duration": "3s"}),
    "partition": (NETWORK, {"action": "partition", "direction": "both", "duration": "3s"}),
    "stress": (STRESS, {"stressors": {"cpu": {"workers": 1, "load": 20}}, "duration": "3s"}),
    "freeze": (ENGINE, {"action": "freeze", "duration": "3s"}),
}
OF_THE_SERVER: dict[str, tuple[str, dict[str, object]]] = {
    "gray": (ENGINE, {"action": "gray-failure", "duration": "3s"}),
    "stuck": (ENGINE, {"action": "stuck-stream", "afterTokens": 2, "duration": "3s"}),
}
"""Faults of the reference server's own, which takes longer to start than a toy."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One kill as it was drawn."""

    seed: int
    experiment: dict[str, object]
    manifests: dict[str, dict[str, object]]
    victim: str
    after_s: float
    times: int
    """One after another, a moment apart: what takes the victim's place is hit as well."""

    def __str__(self) -> str:
        names = "+".join(self.manifests)
        return f"{self.victim} x{self.times} at {self.after_s:4.1f} s, {names}"


def draw(seed: int, victims: Sequence[str], *, toys: bool) -> Drawn:
    """The experiment and the kill of a seed; with `toys`, of replicas that need no torch."""
    rng = random.Random(seed)
    victim = rng.choice(victims)
    standby = (victim == "standby" or rng.random() < 0.3) and not toys
    possible = {**MANIFESTS, **OF_THE_SERVER} if standby else MANIFESTS
    chosen = rng.sample(sorted(possible), rng.randint(1, 2))
    local: dict[str, object] = {"replicas": rng.randint(2, 4)}
    if standby:
        local["env"] = {"DS_MODEL_NAME": "tiny", "DS_TORCH_THREADS": "1"}
    else:
        local["command"] = ["python", str(TOY), "--port", "{port}", "--metrics-port", "{metrics_port}"]
        if rng.random() < 0.5:
            local["command"] = [*local["command"], rng.choice(["--ignore-sigterm", "--fork"])]  # type: ignore[misc]
    experiment = {
        "experiment": name_of(seed),
        "hypothesis": "Whatever is killed, nothing is left behind.",
        "seed": seed,
        "target": {"local": local},
        "load": {"rate": 15, "output_tokens": 8},
        "phases": {"warmup": "500ms", "baseline": "3s", "observe": "9s"},
        "faults": [
            {
                "manifest": f"{name}.yaml",
                "at": f"{rng.uniform(0.2, 2.5):.1f}s",
                "max_targets": 2,
                "jitter": "0s",
            }
            for name in chosen
        ],
        "slo": {"ttft": "2s", "e2e": "2500ms"},
        "recovery": {"goodput": "10%", "error_ratio": "90%", "hold": "500ms", "within": "2s"},
        "assertions": ["requests(all) >= 1"],
    }
    manifests = {name: manifest(name, rng) for name in chosen}
    return Drawn(seed, experiment, manifests, victim, rng.uniform(0.2, LATEST_S), rng.choice([1, 1, 1, 3]))


def name_of(seed: int) -> str:
    """Of its experiment: what `aftershock recover` is asked for, so that it touches no other lane's."""
    return f"{NAME}-{seed}"


def manifest(name: str, rng: random.Random) -> dict[str, object]:
    """One fault of a random replica or two."""
    kind, spec = {**MANIFESTS, **OF_THE_SERVER}[name]
    return {
        "apiVersion": API.get(kind, "chaos-mesh.org/v1alpha1"),
        "kind": kind,
        "metadata": {"name": f"random-{name}", "namespace": "inference"},
        "spec": {
            "mode": "fixed",
            "value": str(rng.randint(1, 2)),
            "selector": {"namespaces": ["inference"], "labelSelectors": {"app": "reference-server"}},
            **spec,
        },
    }
