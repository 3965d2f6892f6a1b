"""Every term that an assertion can have: the one list that grammar, checks and verdict share."""

from chaos.assertions import recoveries, requests, server_side
from chaos.assertions.requests import of_requests
from chaos.assertions.term import METRIC, PHASE, QUEUE, Argument, Dimension, Kind, Observed, Recorded, Term
from loadtests.rows import OUTCOMES

_EXPRESSION = Argument("a PromQL expression in quotes")
_latency = of_requests(requests.latency)


def _quantile(term: Term, run: Recorded) -> Observed:
    return server_side.queue_quantile(term, run) if term.of_server else _latency(term, run)


OF_SAMPLES = Kind(
    Dimension.DURATION,
    _quantile,
    (Argument(METRIC.meaning, (*METRIC.choices, QUEUE)), PHASE),
    of_requests=True,
)
"""The quantiles `p1` to `p99.99`."""
TERMS = {
    "recovery.service": Kind(Dimension.DURATION, recoveries.service),
    "recovery.service_after_end": Kind(Dimension.DURATION, recoveries.service_after_end),
    "recovery.capacity": Kind(Dimension.DURATION, recoveries.capacity, of_replicas=True),
    "recovery.cache": Kind(Dimension.DURATION, recoveries.cache, of_prometheus=True),
    "recovery.first_touch": Kind(Dimension.DURATION, recoveries.first_touch),
    "recovery.cold_start": Kind(Dimension.DURATION, recoveries.cold_start, of_replicas=True),
    "recovery.detection": Kind(Dimension.DURATION, recoveries.detection, of_replicas=True),
    "lost_requests": Kind(Dimension.COUNT, recoveries.lost_requests),
    "max": Kind(Dimension.DURATION, _latency, (METRIC, PHASE), of_requests=True),
    "goodput": Kind(Dimension.RATIO, of_requests(requests.goodput), (PHASE,), of_requests=True),
    "smooth_goodput": Kind(Dimension.RATIO, of_requests(requests.smooth_goodput), (PHASE,), of_requests=True),
    "goodput_rate": Kind(Dimension.RATE, of_requests(requests.goodput_rate), (PHASE,), of_requests=True),
    "error_ratio": Kind(Dimension.RATIO, of_requests(requests.error_ratio), (PHASE,), of_requests=True),
    "requests": Kind(
        Dimension.COUNT,
        of_requests(requests.number, of_none=True),
        (PHASE,),
        of_requests=True,
        machine_proof=True,
    ),
    "outcome": Kind(
        Dimension.COUNT,
        of_requests(requests.outcome),
        (Argument("an outcome", OUTCOMES), PHASE),
        of_requests=True,
    ),
    "wrong_answers": Kind(
        Dimension.COUNT,
        of_requests(requests.answers_wrong),
        (PHASE,),
        of_requests=True,
        of_canaries=True,
        machine_proof=True,
    ),
    "lost_tokens": Kind(Dimension.COUNT, of_requests(requests.tokens_lost), (PHASE,), of_requests=True),
    "doubled_tokens": Kind(Dimension.COUNT, of_requests(requests.tokens_doubled), (PHASE,), of_requests=True),
    "disturbances": Kind(Dimension.COUNT, recoveries.disturbances),
    "alerts": Kind(Dimension.COUNT, server_side.alerts),
    "promql_max": Kind(Dimension.NUMBER, server_side.promql, (_EXPRESSION, PHASE), of_prometheus=True),
    "promql_min": Kind(Dimension.NUMBER, server_side.promql, (_EXPRESSION, PHASE), of_prometheus=True),
    "ready": Kind(
        Dimension.COUNT, requests.ready, (Argument("the word min", ("min",)), PHASE), of_replicas=True
    ),
}
"""By name, every term but the quantiles."""
