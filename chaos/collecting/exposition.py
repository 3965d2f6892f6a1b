"""What a metrics endpoint of the target says now, whosever it is: read without waiting for a scrape."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chaos.errors import InconclusiveError
from exporters.fetch import FetchError, fetch

if TYPE_CHECKING:
    from prometheus_client.samples import Sample


def exposition(url: str, within_s: float) -> str:
    """The text at an http or https URL.

    Raises:
        InconclusiveError: nothing answers there in time, or not with success, or not in whole.
    """
    try:
        # The scheme was checked where the URL was read: local ones are made here, a user's are parsed as http or https.
        return fetch(url, within_s).decode(errors="replace")
    except FetchError as error:
        raise InconclusiveError(f"no metrics at {error}") from error


def samples(url: str, within_s: float) -> "Sequence[Sample]":
    """The samples at an http or https URL; lines that are none are left out.

    Raises:
        InconclusiveError: as `exposition`; or what is there is no exposition.
    """
    # Not above: the supervisor imports this, and is to start soon; it asks for no figures.
    from exporters.profiles.samples import ExpositionError, read_exposition

    text = exposition(url, within_s)
    try:
        return read_exposition(text, within_s=within_s).samples
    except ExpositionError as error:
        raise InconclusiveError(f"no metrics at {url}: {error}") from error
