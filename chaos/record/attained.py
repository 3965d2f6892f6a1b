"""What a journal says of one objective in one phase: how many requests met it, and how many were to."""

from chaos.record.entry import Entry, Number


class Attained(Entry):
    """The requests of one phase against one objective; a failure meets none."""

    objective: str
    """As in a file of objectives: `ttft`, `itl`, `tpot`, `e2e`, `availability`; `goodput` is all of them at once."""
    phase: str
    """As in `phases`; `all` is everything after the warm-up."""
    bound_s: Number | None
    """A request met it at or below."""
    bound_s_reason: str | None = None
    wanted: Number | None
    """The share of requests that is to meet it."""
    wanted_reason: str | None = None
    n: int
    """Planned arrivals."""
    met: int
    attained: Number | None
    """Met per planned arrivals."""
    attained_reason: str | None = None
