"""What the server asks of its instrumentation: `exporters.inference`, or nothing at all to measure what that costs."""

from typing import Protocol


class RequestEvents(Protocol):
    """One request's events, from any thread."""

    def scheduled(self) -> None:
        """The engine computes it from now on."""

    def token(self) -> None:
        """One output token exists now."""

    def finished(self, outcome: str, *, prompt_tokens: int = 0, output_tokens: int = 0) -> None:
        """It ended: ok, error, timeout, aborted or rejected."""


class Instrumentation(Protocol):
    """The server's events."""

    def request(self, *, streaming: bool) -> RequestEvents:
        """A request was accepted now."""

    def cache_lookup(self, tier: str, *, queried_tokens: int, hit_tokens: int) -> None:
        """A cache tier was asked for prompt tokens and had some of them."""

    def kv_usage(self, ratio: float) -> None:
        """The reserved share of the KV cache."""

    def kv_fragmentation(self, ratio: float) -> None:
        """The share of its reserved positions that hold no keys and values yet; 0 while none is reserved."""


class Uninstrumented:
    """Both protocols, doing nothing."""

    def request(self, *, streaming: bool) -> RequestEvents:  # noqa: ARG002  the protocol's signature
        """Report to nobody."""
        return self

    def scheduled(self) -> None:
        """Nothing."""

    def token(self) -> None:
        """Nothing."""

    def finished(self, outcome: str, *, prompt_tokens: int = 0, output_tokens: int = 0) -> None:
        """Nothing."""

    def cache_lookup(self, tier: str, *, queried_tokens: int, hit_tokens: int) -> None:
        """Nothing."""

    def kv_usage(self, ratio: float) -> None:
        """Nothing."""

    def kv_fragmentation(self, ratio: float) -> None:
        """Nothing."""
