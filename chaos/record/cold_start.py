"""What a journal says of a replica that came into being after a fault: how long each step to its first token took."""

from chaos.record.entry import Entry, Number


class ColdStart(Entry):
    """One replica. Seconds count from its creation; a step that its target does not tell is null."""

    replica: str
    created_s: Number
    """On the run clock: it was wanted, and had its name."""
    scheduled_s: Number | None
    """It had its node."""
    scheduled_s_reason: str | None = None
    pulled_s: Number | None
    """Its image was there."""
    pulled_s_reason: str | None = None
    running_s: Number | None
    """Its process existed."""
    running_s_reason: str | None = None
    ready_s: Number
    """It passed its readiness probes, weights loaded; inf where it never did."""
    first_token_s: Number | None
    """The first token of a request that it answered completely came to the client."""
    first_token_s_reason: str | None = None
