"""Every alert of one engine: burn rates, symptoms whose signals it tells, and the partner of each signal.

An expression over a series that is not there is silent, so every signal that an alert reads has a rule that
fires in its absence, as severe as the most severe alert that it blinds.
"""

from collections.abc import Sequence

from dashboards.engines import Engine
from dashboards.rules.fleet import fleet_symptoms
from dashboards.rules.gpu import gpu_symptoms
from dashboards.rules.groups import HOUR_S, MINUTE_S, Alert, Group, Timing
from dashboards.rules.recording import FLEET, REPLICAS_UP, recorded
from dashboards.rules.serving import serving_symptoms
from dashboards.rules.slo import burn_alerts, indicators
from dashboards.rules.symptoms import UP, Symptom

OPTIONAL = frozenset(
    {
        *("gpu_up", "gpu_memory_fragmentation", "gpu_throttle", "gpu_xid_events"),
        *("gateway_request", "gateway_retries", "replicas_ready"),
        *("comm_seconds", "comm_failures", "probe_success"),
    }
)
"""Signals that a healthy cluster may lack (no GPU, no gateway, no prober): missed once they have been there.

So is whatever an operator must switch on first, as the profile says.
"""


def alerting_rules(engine: Engine, timing: Timing) -> tuple[Group, ...]:
    """Burn rates, symptoms, and what says that one of them is blind."""
    told = [
        symptom
        for symptom in (*serving_symptoms(timing), *fleet_symptoms(engine, timing), *gpu_symptoms(timing))
        if all(signal == UP or engine.of(signal) for signal in symptom.needs)
    ]
    return (
        burn_alerts(engine),
        Group("symptoms", [symptom.alert for symptom in told]),
        Group("absent", _absent(engine, timing, told)),
    )


def _absent(engine: Engine, timing: Timing, symptoms: Sequence[Symptom]) -> list[Alert]:
    blinded: dict[str, list[Alert]] = {}
    for symptom in symptoms:
        for signal in symptom.needs:
            blinded.setdefault(signal, []).append(symptom.alert)
    burning = [alert for alert in burn_alerts(engine).rules if isinstance(alert, Alert)]
    for indicator in indicators(engine):
        for signal in indicator.needs:
            blinded.setdefault(signal, []).extend(a for a in burning if a.name == indicator.alert)
    return [_signal_absent(engine, timing, signal, alerts) for signal, alerts in sorted(blinded.items())]


def _signal_absent(engine: Engine, timing: Timing, signal: str, alerts: Sequence[Alert]) -> Alert:
    sources = engine.of(signal)
    families = " and ".join(source.name for source in sources) or UP
    series = f'{recorded(sources[0]) if sources else REPLICAS_UP}{{runtime="{engine.runtime}"}}'
    expr = f"absent({series})"
    if signal in OPTIONAL or (sources and all(source.series.enable for source in sources)):
        labels = f"{', '.join(FLEET)}, runtime"
        window = timing.window(HOUR_S)
        expr = f"count by ({labels}) (present_over_time({series}[{window}]))\nunless count by ({labels}) ({series})"
    names = sorted({alert.name for alert in alerts})
    return Alert(
        "SignalAbsent",
        expr,
        "page" if any(alert.severity == "page" for alert in alerts) else "ticket",
        summary=f"No series of the signal {signal}: {', '.join(names)} cannot fire.",
        description=(
            f"{families} is in no scrape, or the recording rules do not run. "
            "The silence of the alerts that read it says nothing."
        ),
        hold=timing.hold(2 * MINUTE_S),
        labels={"signal": signal},
    )
