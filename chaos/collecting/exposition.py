"""What a metrics endpoint of the target says now, whosever it is: read without waiting for a scrape."""

import urllib.request
from http.client import HTTPException

from chaos.errors import InconclusiveError

_MOST_BYTES = 64_000_000


def exposition(url: str, within_s: float) -> str:
    """The text at an http or https URL.

    Raises:
        InconclusiveError: nothing answers there in time, or not with success.
    """
    try:
        # The scheme was checked where the URL was read: local ones are made here, a user's are parsed as http or https.
        with urllib.request.urlopen(url, timeout=within_s) as answer:  # noqa: S310
            return bytes(answer.read(_MOST_BYTES)).decode(errors="replace")
    except (OSError, ValueError, HTTPException) as error:
        raise InconclusiveError(f"no metrics at {url}: {error}") from error
