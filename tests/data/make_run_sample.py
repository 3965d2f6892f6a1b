"""Writes `run-sample/`: a made-up but plausible run, until a recorded one takes its place."""

import random
from pathlib import Path
from typing import Any

from chaos.events import Event, write_events
from chaos.experiment.assertions import parse
from chaos.judging import journal as journals
from chaos.judging.evaluation import evaluate
from chaos.judging.verdict import judge
from chaos.measuring.measurements import measure
from chaos.measuring.recovery import Criteria
from chaos.measuring.slis import Objectives
from chaos.measuring.timeline import FaultWindow, Timeline
from loadtests.records import RequestRecord, write_rows

FOLDER = Path(__file__).parent / "run-sample"
PREFIX = "reference-server-7d9c5b8f6d-"
FAULT_S, END_S, WARMUP_S, RATE = 30.021, 70.0, 5.0, 18.0
VICTIMS = {"q4hzx": 30.024, "t8bnc": 30.031, "w2mjr": 30.036}
SURVIVORS = ("2kdvp", "5xq7m", "8lzrt", "b6wgf", "c9nhs", "fr4tk", "jm2vd")
REPLACEMENTS = {"lq7bz": (30.071, 36.412), "pd5xw": (30.083, 37.035), "zk3nf": (30.094, 39.262)}
ASSERTIONS = (
    "recovery.service <= 15s",
    "recovery.capacity <= 15s",
    "p99(ttft, baseline) <= 250ms",
    "error_ratio(recovery) <= 1%",
    "lost_requests <= 20",
)
FACTS = journals.RunFacts(
    experiment="pod-kill-30",
    hypothesis=(
        "Killing 30 % of ten replicas at random costs the requests in flight on them, "
        "and goodput is back within 15 s."
    ),
    target="local",
    seed=42,
    started_at="2026-11-22T00:41:07Z",
    versions={"aftershock": "0.1.0", "python": "3.11.2", "locust": "2.47.0", "prometheus": "2.42.0"},
    generator={
        "lag": {
            "dispatch_p50_s": 0.0007,
            "dispatch_p99_s": 0.0019,
            "dispatch_max_s": 0.0021,
            "hub_p99_s": 0.0031,
            "hub_max_s": 0.0048,
        },
        "dropped": 0,
        "censored": 0,
        "peak_in_flight": 31,
    },
    reconciliation={
        "client_sent": 1229,
        "gateway_requests": 1229,
        "gateway_attempts": 1243,
        "gateway_retries": 14,
        "replica_requests": 1236,
        "replicas": [
            {
                "replica": PREFIX + name,
                "killed": name in VICTIMS,
                "gateway_attempts": 95,
                "replica_requests": 94 if name in VICTIMS else 95,
                "agrees": True,
            }
            for name in (*SURVIVORS, *VICTIMS, *REPLACEMENTS)
        ],
        "problems": [],
    },
)


def events() -> list[Event]:
    """Ten replicas come up, three are killed, three replace them."""
    found = []
    for place, name in enumerate(sorted((*VICTIMS, *SURVIVORS))):
        replica = PREFIX + name
        found += [
            Event(-9.2 + 0.01 * place, "replica_created", replica),
            Event(-9.1 + 0.01 * place, "replica_running", replica),
            Event(-3.1 + 0.12 * place, "replica_ready", replica),
        ]
    found += [Event(-1.9, "target_started"), Event(0.0, "load_started")]
    found.append(Event(FAULT_S - 0.006, "fault_intended", detail={"fault": "pod-kill-30"}))
    found.append(Event(FAULT_S, "fault_injected", detail={"fault": "pod-kill-30"}))
    for name, at_s in VICTIMS.items():
        found += [
            Event(at_s, "replica_killed", PREFIX + name, {"reason": "fault"}),
            Event(at_s + 0.012, "replica_gone", PREFIX + name),
        ]
    found.append(Event(30.312, "fault_verified", detail={"fault": "pod-kill-30"}))
    for name, (created_s, ready_s) in REPLACEMENTS.items():
        found += [
            Event(created_s, "replica_created", PREFIX + name),
            Event(created_s + 0.02, "replica_running", PREFIX + name),
            Event(ready_s, "replica_ready", PREFIX + name),
        ]
    found.append(Event(END_S + 0.4, "load_finished"))
    return sorted(found, key=lambda event: event.at_s)


def request(index: int, intended_s: float, dice: random.Random) -> RequestRecord:
    """One arrival: quick in peace, lost or slow right after the kill."""
    dispatched_s = intended_s + dice.uniform(0.0002, 0.002)
    killed_s = min(VICTIMS.values())
    wait_s = dice.lognormvariate(-3.2, 0.22)
    since_s = intended_s - killed_s
    if 0 <= since_s < 3.1:
        wait_s += 0.9 * (1 - since_s / 3.4) * dice.uniform(0.6, 1.3)
    elif 3.1 <= since_s < 9:
        wait_s *= 1.6
    first_s = dispatched_s + wait_s
    tokens = [first_s]
    while len(tokens) < 4:
        tokens.append(tokens[-1] + dice.uniform(0.05, 0.1))
    names = [*SURVIVORS, *(name for name, (_, ready_s) in REPLACEMENTS.items() if ready_s < dispatched_s)]
    victims_serve = dispatched_s < killed_s
    replica = dice.choice([*names, *VICTIMS] if victims_serve else names)
    row: dict[str, Any] = {
        "index": index,
        "intended_s": intended_s,
        "dispatched_s": dispatched_s,
        "connected_s": dispatched_s + 0.0006,
        "sent_s": dispatched_s + 0.0008,
        "prompt_tokens": 64,
        "attempts": 1,
        "replica": PREFIX + replica,
    }
    if victims_serve and replica in VICTIMS and tokens[-1] > VICTIMS[replica]:
        return _cut(row, tuple(stamp for stamp in tokens if stamp < VICTIMS[replica]), VICTIMS[replica])
    if 0 <= since_s < 0.25:
        refused = row | {"replica": None, "attempts": 3}
        return RequestRecord(**refused, outcome="http_503", status=503, ended_s=dispatched_s + 0.31)
    return RequestRecord(
        **row,
        outcome="ok",
        headers_s=first_s - 0.001,
        token_s=tuple(tokens),
        ended_s=tokens[-1] + 0.001,
        output_tokens=4,
        status=200,
    )


def _cut(row: dict[str, Any], token_s: tuple[float, ...], killed_s: float) -> RequestRecord:
    if not token_s:
        return RequestRecord(**row, outcome="eof_before_headers", ended_s=killed_s + 0.004)
    error = "connection reset by peer"
    return RequestRecord(
        **row, outcome="reset_mid_stream", token_s=token_s, status=200, ended_s=killed_s + 0.003, error=error
    )


def rows() -> list[RequestRecord]:
    """A Poisson stream at the planned rate."""
    dice = random.Random(42)
    found: list[RequestRecord] = []
    at_s = dice.expovariate(RATE)
    while at_s < END_S:
        found.append(request(len(found), at_s, dice))
        at_s += dice.expovariate(RATE)
    return found


def main() -> None:
    """Judge the made-up records as a run would and write everything that a run leaves."""
    found = rows()
    targets = tuple(PREFIX + name for name in VICTIMS)
    timeline = Timeline(
        rows=tuple(found),
        events=tuple(events()),
        planned=len(found),
        warmup_s=WARMUP_S,
        plan_end_s=END_S,
        wanted_replicas=10,
        faults=(
            FaultWindow(
                name="pod-kill-30",
                kind="PodChaos/pod-kill",
                fidelity="exact",
                started_s=FAULT_S,
                ended_s=None,
                targets=targets,
                candidates=10,
                verified=True,
                evidence=tuple(
                    f"{target}: process {4100 + place} is gone and its port refuses connections"
                    for place, target in enumerate(targets)
                ),
            ),
        ),
    )
    measurements = measure(timeline, Objectives(ttft_s=0.5, e2e_s=2.5), Criteria())
    results = [evaluate(parse(expression), measurements) for expression in ASSERTIONS]
    journal = journals.build(FACTS, measurements, judge(measurements, results))
    FOLDER.mkdir(exist_ok=True)
    write_rows(FOLDER / "requests.jsonl", found)
    write_events(FOLDER / "events.jsonl", timeline.events)
    journals.write(FOLDER / "journal.json", journal)


if __name__ == "__main__":
    main()
