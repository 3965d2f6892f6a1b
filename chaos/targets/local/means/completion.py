"""A completion asked for straight at a replica, beside gateway and proxy: what a client sees of it, with its times."""

import http.client
import itertools
import json
import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from chaos.targets.local.means.door import KEY_HEADER
from chaos.targets.local.ports import HOST
from loadtests.completions import DONE, BadEventError, ErrorEventError, read_chunk
from loadtests.sse import EventParser, ServerEvent

_PATH = "/v1/completions"
_PROMPT = "Tell me what a witness is."
_READ_BYTES = 65_536


@dataclass(slots=True)
class Heard:
    """What came of one streamed completion, seconds from when it was sent."""

    status: int | None = None
    """None where no head of an answer came in time."""
    token_s: list[float] = field(default_factory=list)
    """When each event with text came."""
    text: str = ""
    ended: str = "silence"
    """`done`, `silence` (nothing more within the patience), `reset`, `end` (without the terminal event), `error` (an
    event that is one), `refused` (no connection) or `status` (one that is an error)."""
    finish_reason: str | None = None
    ended_s: float = math.inf

    @property
    def first_s(self) -> float:
        """Until the first token; infinite where none came."""
        return self.token_s[0] if self.token_s else math.inf

    @property
    def gaps_s(self) -> list[float]:
        """Between each two tokens that follow each other."""
        return [later - earlier for earlier, later in itertools.pairwise(self.token_s)]

    @property
    def gap_s(self) -> float:
        """The median time between two tokens; infinite where there are not two."""
        return statistics.median(self.gaps_s) if self.gaps_s else math.inf

    def __str__(self) -> str:
        """For evidence."""
        if self.status is None:
            return {"silence": "had no answer", "refused": "was refused a connection"}.get(
                self.ended, self.ended
            )
        if self.ended == "status":
            return f"was answered {self.status} after {self.ended_s:.2f} s"
        reason = f" with finish_reason {self.finish_reason}" if self.finish_reason else ""
        words = {
            "done": f"ended in order{reason}",
            "silence": "then fell silent",
            "reset": "then was reset",
            "end": "then ended without a terminal event",
            "error": "then brought an error",
        }
        return f"had {len(self.token_s)} tokens, {words[self.ended]}"


def complete(port: int, key: str, *, tokens: int, patience_s: float, whole_s: float = math.inf) -> Heard:
    """Ask a replica for a greedy completion, uncounted by it where it knows the key.

    Args:
        port: the replica's own.
        key: of its door for faults.
        tokens: how many, whatever the model would say.
        patience_s: for the head, and for each next piece.
        whole_s: for all of it.
    """
    heard, began_s = Heard(), time.monotonic()
    connection = http.client.HTTPConnection(HOST, port, timeout=patience_s)
    try:
        _listen(connection, key, tokens, heard, began_s, whole_s)
    except TimeoutError:
        heard.ended = "silence"
    except ConnectionRefusedError:
        heard.ended = "refused"
    except (ConnectionError, http.client.RemoteDisconnected):
        heard.ended = "reset"
    except http.client.HTTPException:
        heard.ended = "end"
    except (ErrorEventError, BadEventError):
        heard.ended = "error"
    finally:
        heard.ended_s = time.monotonic() - began_s
        connection.close()
    return heard


def _listen(
    connection: http.client.HTTPConnection,
    key: str,
    tokens: int,
    heard: Heard,
    began_s: float,
    whole_s: float,
) -> None:
    body = {"prompt": _PROMPT, "max_tokens": tokens, "temperature": 0, "stream": True, "ignore_eos": True}
    connection.request("POST", _PATH, json.dumps(body), {"Content-Type": "application/json", KEY_HEADER: key})
    response = connection.getresponse()
    heard.status = response.status
    if response.status != http.client.OK:
        heard.ended = "status"
        return
    for event in _events(response):
        if event.data == DONE:
            heard.ended = "done"
            return
        if (chunk := read_chunk(event)) is None:
            continue
        heard.finish_reason = chunk.finish_reason or heard.finish_reason
        if chunk.has_token:
            heard.token_s.append(time.monotonic() - began_s)
            heard.text += json.loads(event.data)["choices"][0]["text"]
        if time.monotonic() - began_s > whole_s:
            return
    heard.ended = "end"


def _events(response: http.client.HTTPResponse) -> Iterator[ServerEvent]:
    parser = EventParser()
    while piece := response.read1(_READ_BYTES):
        yield from parser.feed(piece)


def answers(port: int, path: str, within_s: float) -> bool:
    """Whether a GET of this path is answered 200..399 in time."""
    connection = http.client.HTTPConnection(HOST, port, timeout=within_s)
    try:
        connection.request("GET", path)
        return 200 <= connection.getresponse().status < 400
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
