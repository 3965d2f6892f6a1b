"""guidellm, aiperf, plain Locust and our own load, each asking one server for the same, and what each reports.

The two that are no dependency of ours are installed into environments of their own, in `~/.cache/aftershock/clients`
(or `$XDG_CACHE_HOME`), the first time that they are needed: some 2 GB, minutes of pip.
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.vllm_setup import write_model
from chaos.load.process import Load, LoadConfig
from chaos.measuring.quantiles import quantile
from loadtests.rows import Row, read_rows
from tests.support.plain_server import asked_so_far

VERSIONS = {"guidellm": "0.8.1", "aiperf": "0.13.0"}
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "aftershock" / "clients"
USER_PER_S = 10.0
"""Requests a second of one closed-loop user."""


@dataclass(frozen=True)
class Asked:
    """What every client asks for: constant gaps, so that all ask at the same instants."""

    url: str
    model: str
    rate_per_s: float
    requests: int
    prompt_tokens: int
    output_tokens: int

    @property
    def duration_s(self) -> float:
        """How long the arrivals go on."""
        return self.requests / self.rate_per_s


@dataclass(frozen=True)
class Reported:
    """What a client says, in milliseconds; None where it does not say it."""

    client: str
    requests: int
    ttft_p50_ms: float | None
    ttft_p99_ms: float | None
    itl_p50_ms: float | None
    """Per request: last token minus first, by the tokens between."""
    gap_p50_ms: float | None
    """Between two token events."""
    e2e_p50_ms: float
    e2e_p99_ms: float
    e2e_max_ms: float
    others: str = field(default="", kw_only=True)
    """Requests that it sent and does not count among its own, with its words for them."""


Client = Callable[[Asked, Path], list[Reported]]


def aftershock(asked: Asked, folder: Path) -> list[Reported]:
    """Our own load; once from the planned instant, which is what we report, and once from the dispatch."""
    config = LoadConfig(
        url=asked.url,
        model=asked.model,
        arrivals="constant",
        rate_per_s=asked.rate_per_s,
        duration_s=asked.duration_s,
        seed=1,
        prompt_tokens=asked.prompt_tokens,
        output_tokens=asked.output_tokens,
        max_in_flight=4000,
        plan_path=folder / "plan.jsonl",
        rows_path=folder / "rows.jsonl",
        summary_path=folder / "load.json",
        log_path=folder / "locust.log",
    )
    with Load(config) as load:
        load.start()
        load.wait(within_s=asked.duration_s + 60.0)
    rows = list(read_rows(config.rows_path))
    return [
        _of_rows("aftershock, from the planned instant", rows, lambda row: row.intended_s),
        _of_rows("aftershock, from the dispatch", rows, lambda row: row.dispatched_s or row.intended_s),
    ]


def _of_rows(name: str, rows: list[Row], since_s: Callable[[Row], float]) -> Reported:
    ended = [(row, since_s(row)) for row in rows if row.ok]
    ttft = _sorted(row.token_s[0] - from_s for row, from_s in ended)
    e2e = _sorted((row.ended_s or 0.0) - from_s for row, from_s in ended)
    itl = _sorted(row.tpot_s for row, _ in ended if row.tpot_s is not None)
    gaps = _sorted(gap for row, _ in ended for gap in row.itl_s)
    return Reported(
        client=name,
        requests=len(rows),
        ttft_p50_ms=quantile(ttft, 50),
        ttft_p99_ms=quantile(ttft, 99),
        itl_p50_ms=quantile(itl, 50) if itl else None,
        gap_p50_ms=quantile(gaps, 50) if gaps else None,
        e2e_p50_ms=quantile(e2e, 50),
        e2e_p99_ms=quantile(e2e, 99),
        e2e_max_ms=e2e[-1],
    )


def _sorted(seconds: Iterable[float]) -> list[float]:
    return sorted(1000.0 * each for each in seconds)


def plain_locust(asked: Asked, folder: Path) -> list[Reported]:
    """Users with `constant_throughput`, as many as come to the rate: a closed loop, by Locust's own statistics."""
    users = str(round(asked.rate_per_s / USER_PER_S))
    command = [
        *(sys.executable, "-m", "locust", "--locustfile", str(Path(__file__).with_name("closed_loop.py"))),
        *("--headless", "--only-summary", "--host", asked.url, "--users", users, "--spawn-rate", users),
        *("--run-time", f"{asked.duration_s:g}s", "--rows", str(folder / "closed.jsonl")),
        *("--tokens", str(asked.output_tokens), "--csv", str(folder / "closed")),
    ]
    _run(command, folder / "closed.log", fine=(0, 1))  # 1 where a request failed
    with (folder / "closed_stats.csv").open() as table:
        total = next(row for row in csv.DictReader(table) if row["Name"] == "Aggregated")
    e2e = (float(total[key]) for key in ("50%", "99%", "Max Response Time"))
    return [Reported("plain Locust, closed loop", int(total["Request Count"]), None, None, None, None, *e2e)]


def guidellm(asked: Asked, folder: Path) -> list[Reported]:
    """At a constant rate."""
    data = f"prompt_tokens={asked.prompt_tokens},output_tokens={asked.output_tokens}"
    report = folder / "guidellm.json"
    command = [
        *(str(installed("guidellm")), "run"),
        *("--backend", f"kind=openai_http,target={asked.url},model={asked.model}"),
        *("--profile", f"kind=constant,rate={asked.rate_per_s:g}"),
        *("--constraint", f"kind=max_requests,count={asked.requests}"),
        *("--tokenizer", f"kind=hf_auto,model={tokenizer()}", "--data", f"kind=synthetic_text,{data}"),
        *("--output", f"kind=json,path={report}", "--disable-console-interactive"),
    ]
    _run(command, folder / "guidellm.log")
    (benchmark,) = json.loads(report.read_text())["benchmarks"]
    names = ("time_to_first_token_ms", "inter_token_latency_ms", "request_latency")
    ttft, itl, e2e = (benchmark["metrics"][name]["successful"] for name in names)
    found = Reported(
        client=f"guidellm {VERSIONS['guidellm']}",
        requests=e2e["count"],
        ttft_p50_ms=ttft["median"],
        ttft_p99_ms=ttft["percentiles"]["p99"],
        itl_p50_ms=itl["median"],
        gap_p50_ms=None,
        e2e_p50_ms=1000 * e2e["median"],
        e2e_p99_ms=1000 * e2e["percentiles"]["p99"],
        e2e_max_ms=1000 * e2e["max"],
        others=", ".join(
            f"{len(benchmark['requests'][kind])} {kind}"
            for kind in ("errored", "incomplete")
            if benchmark["requests"][kind]
        ),
    )
    return [found]


def aiperf(asked: Asked, folder: Path) -> list[Reported]:
    """At a constant rate, without a limit of requests in flight."""
    artifacts = folder / "aiperf"
    command = [
        *(str(installed("aiperf")), "profile", "-m", asked.model, "--url", asked.url),
        *("--endpoint-type", "chat", "--streaming", "--arrival-pattern", "constant"),
        *("--request-rate", f"{asked.rate_per_s:g}", "--request-count", str(asked.requests)),
        *("--isl", str(asked.prompt_tokens), "--isl-stddev", "0"),
        *("--osl", str(asked.output_tokens), "--osl-stddev", "0"),
        *("--use-legacy-max-tokens", "--extra-inputs", "ignore_eos:true", "--use-server-token-count"),
        *("--tokenizer", str(tokenizer()), "--artifact-dir", str(artifacts), "--ui", "none"),
    ]
    _run(command, folder / "aiperf.log")
    said: dict[str, Any] = json.loads((artifacts / "profile_export_aiperf.json").read_text())
    ttft, e2e = said["time_to_first_token"], said["request_latency"]
    found = Reported(
        client=f"aiperf {VERSIONS['aiperf']}",
        requests=int(said["request_count"]["avg"]),
        ttft_p50_ms=ttft["p50"],
        ttft_p99_ms=ttft["p99"],
        itl_p50_ms=said["inter_token_latency"]["p50"],
        gap_p50_ms=said["inter_chunk_latency"]["p50"],
        e2e_p50_ms=e2e["p50"],
        e2e_p99_ms=e2e["p99"],
        e2e_max_ms=e2e["max"],
    )
    return [found]


CLIENTS: dict[str, Client] = {
    "aftershock": aftershock,
    "guidellm": guidellm,
    "aiperf": aiperf,
    "locust": plain_locust,
}


def installed(name: str) -> Path:
    """The command of a client, in an environment of its own; CalledProcessError when pip cannot make it."""
    venv = CACHE / f"{name}-{VERSIONS[name]}"
    if not (venv / "bin" / name).exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "-q"]
        subprocess.run([*pip, f"{name}=={VERSIONS[name]}"], check=True)
    return venv / "bin" / name


def tokenizer() -> Path:
    """A byte-level one, as the reference server has: both clients want to count tokens themselves."""
    folder = CACHE / "tokenizer"
    if not (folder / "tokenizer_config.json").exists():
        write_model(folder, tokenizer=True)
        (folder / "model.safetensors").unlink()  # a folder with weights would be loaded as a model
    return folder


def wait_for_half(asked: Asked, within_s: float = 180.0) -> None:
    """Until half of the requests were asked; TimeoutError when they never are."""
    before, deadline_s = asked_so_far(asked.url), time.monotonic() + within_s
    while asked_so_far(asked.url) - before < asked.requests / 2:
        if time.monotonic() > deadline_s:
            raise TimeoutError(
                f"{asked_so_far(asked.url) - before} of {asked.requests} requests in {within_s:g} s"
            )
        time.sleep(0.05)


def _run(command: list[str], log: Path, fine: Sequence[int] = (0,)) -> None:
    with tempfile.TemporaryDirectory() as elsewhere, log.open("w") as out:
        ended = subprocess.run(command, cwd=elsewhere, stdout=out, stderr=out, check=False)
    if ended.returncode not in fine:
        raise RuntimeError(f"{command[0]} ended with {ended.returncode}\n{log.read_text()[-2000:]}")
