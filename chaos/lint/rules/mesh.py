"""Rules on Istio's traffic policies: who is ejected, how many at most, and what is encrypted."""

from collections.abc import Iterator

from chaos.lint.objects import Inventory, Object
from chaos.lint.place import Place
from chaos.lint.rule import rule
from chaos.reading.documents import Problem

_DESTINATION = "DestinationRule.networking.istio.io"
_LOSS_PERCENT = 30
"""The share of replicas that the suite's main experiment kills at once."""
_ISTIO_EJECTS_PERCENT = 10
"""Istio's maxEjectionPercent where none is said. Source: its reference of DestinationRule, OutlierDetection."""


def _policies(destination: Object) -> Iterator[Place]:
    """Every traffic policy: the service's, its subsets', and those of single ports."""
    own = destination.spec.at("trafficPolicy")
    subsets = [subset.at("trafficPolicy") for subset in destination.spec.at("subsets").each()]
    for policy in (own, *subsets):
        if policy.mapping:
            yield policy
            yield from policy.at("portLevelSettings").each()


def _detections(destination: Object) -> Iterator[Place]:
    return (found for policy in _policies(destination) if (found := policy.at("outlierDetection")).mapping)


@rule("error", _DESTINATION)
def istio_consecutive_errors(destination: Object, _: Inventory) -> Iterator[Problem]:
    """Outlier detection counts consecutive5xxErrors or consecutiveGatewayErrors.

    `consecutiveErrors` is the old name: the CRD still takes it, with no more than a warning that nobody
    reads.
    """
    for detection in _detections(destination):
        if (old := detection.at("consecutiveErrors")).exists:
            yield old.problem("expected consecutive5xxErrors or consecutiveGatewayErrors in its place")


@rule("error", _DESTINATION)
def istio_ejection_share(destination: Object, _: Inventory) -> Iterator[Problem]:
    """Outlier detection may eject as many as an experiment takes away: 30 % of the hosts.

    Istio's own limit is 10 %: when three of ten replicas fail, one is ejected and two go on getting
    requests. A minHealthPercent above 70 turns the detection off at the same moment.
    """
    for detection in _detections(destination):
        most = detection.at("maxEjectionPercent")
        if (_ISTIO_EJECTS_PERCENT if most.number is None else most.number) < _LOSS_PERCENT:
            yield most.problem(f"expected at least {_LOSS_PERCENT}, the share that a loss takes away")
        if ((healthy := detection.at("minHealthPercent")).number or 0) > 100 - _LOSS_PERCENT:
            yield healthy.problem(f"expected at most {100 - _LOSS_PERCENT}, the share that a loss leaves")


@rule("error", _DESTINATION)
def istio_local_origin(destination: Object, _: Inventory) -> Iterator[Problem]:
    """Failures of local origin are counted where they are told from the server's own.

    consecutiveLocalOriginFailures without `splitExternalLocalOriginErrors: true` is refused by Istio's
    webhook.
    """
    for detection in _detections(destination):
        split = detection.at("splitExternalLocalOriginErrors")
        if detection.at("consecutiveLocalOriginFailures").exists and split.value is not True:
            yield split.problem("expected true beside consecutiveLocalOriginFailures")


@rule("error", _DESTINATION)
def istio_no_tls(destination: Object, _: Inventory) -> Iterator[Problem]:
    """A traffic policy says which TLS its callers speak, and not DISABLE.

    A policy without a tls block leaves it to whatever the mesh is set to, and settings of a port replace
    those of the service, its TLS too: prompts in clear text are a key away.
    """
    for policy in _policies(destination):
        tls = policy.at("tls")
        if not tls.mapping:
            yield tls.problem("expected this key (mode ISTIO_MUTUAL within a mesh)")
        elif tls.at("mode").text == "DISABLE":
            yield tls.at("mode").problem("expected ISTIO_MUTUAL, MUTUAL or SIMPLE")


@rule("advice", "PeerAuthentication.security.istio.io")
def istio_plain_text(authentication: Object, _: Inventory) -> Iterator[Problem]:
    """Servers of a mesh take mutual TLS alone.

    With PERMISSIVE or DISABLE anybody in the cluster can speak to a replica in clear text.
    """
    ports = [port for _, port in authentication.spec.at("portLevelMtls").entries()]
    for settings in (authentication.spec.at("mtls"), *ports):
        if settings.at("mode").text in ("PERMISSIVE", "DISABLE"):
            yield settings.at("mode").problem("expected STRICT")
