"""What servers of all kinds stream, in small: each with what a client is to make of it."""

import json
from dataclasses import dataclass

STREAM = "text/event-stream"
DONE = "data: [DONE]\n\n"


def ev(said: object) -> str:
    """One event with this data."""
    return f"data: {json.dumps(said)}\n\n"


def delta(**parts: object) -> str:
    """A chunk with these parts in its delta."""
    return ev({"choices": [{"index": 0, "delta": parts, "finish_reason": None}]})


def finish(why: str = "stop") -> str:
    """A chunk that says why no more will come."""
    return ev({"choices": [{"index": 0, "delta": {}, "finish_reason": why}]})


T, F = delta(content="w "), finish()
ERROR = {"error": {"message": "engine died", "type": "internal"}}
ERROR_OBJECT = {"object": "error", "message": "engine died", "code": 500}
USAGE = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}


@dataclass(frozen=True)
class OddAnswer:
    """An answer's head and body, and what it is."""

    body: str
    outcome: str = "ok"
    """Of the load; `http_...` is not in this table, for those have no stream."""
    tokens: int = 1
    """Events with something for a user."""
    usage: int | None = None
    """Output tokens as the server counted them."""
    said: str | None = None
    """In the row's error."""
    content_type: str | None = STREAM

    @property
    def of_probe(self) -> str:
        """The probe's word for it."""
        incomplete = ("truncated", "aborted", "empty")
        return "ok" if self.outcome == "ok" else "incomplete" if self.outcome in incomplete else "error"

    @property
    def of_gateway(self) -> str:
        """The gateway's, which judges no dialect and counts no tokens."""
        same = {
            "ok": "ok",
            "empty": "ok",
            "truncated": "truncated",
            "no_stream": "truncated",
            "bad_event": "truncated",
        }
        return same.get(self.outcome, "error_event")


ANSWERS = {
    "plain": OddAnswer(T + F + DONE),
    "abort": OddAnswer(T + finish("abort") + DONE, "aborted", said="finish_reason abort"),
    "reason_error": OddAnswer(T + finish("error") + DONE, "aborted", said="finish_reason error"),
    "empty_data": OddAnswer(T + "data:\n\n" + "data: \n\n" + T + F + DONE, tokens=2),
    "ping": OddAnswer("event: ping\ndata: {}\n\n" + T + "event: ping\ndata: {}\n\n" + F + DONE),
    "foreign": OddAnswer(T + 'event: status\ndata: {"queue": 3}\n\n' + F + DONE),
    "error_type": OddAnswer(T + "event: error\ndata: it died\n\n", "error_event", said="it died"),
    "done_blank": OddAnswer(T + F + "data: [DONE] \n\n"),
    "done_tight": OddAnswer(T + F + "data:[DONE]\n\n"),
    "null_choices": OddAnswer(T + F + ev({**USAGE, "choices": None}) + DONE, usage=2),
    "no_choices": OddAnswer(T + F + ev({"usage": USAGE["usage"]}) + DONE, usage=2),
    "usage_text": OddAnswer(
        T + F + ev({"choices": [], "usage": {"completion_tokens": "2", "prompt_tokens": "many"}}) + DONE,
        usage=2,
    ),
    "usage_float": OddAnswer(
        T + F + ev({"choices": [], "usage": {"completion_tokens": 2.0}}) + DONE, usage=2
    ),
    "usage_odd": OddAnswer(T + F + ev({"choices": [], "usage": {"completion_tokens": [2]}}) + DONE),
    "null_error": OddAnswer(
        ev({"choices": [{"delta": {"content": "w"}}], "error": None})
        + ev({"choices": [{"delta": {}, "finish_reason": "stop"}], "error": None})
        + DONE
    ),
    "error_first": OddAnswer(ev(ERROR), "error_event", 0, said="engine died"),
    "error_later": OddAnswer(T + ev(ERROR) + DONE, "error_event", said="engine died"),
    "object_first": OddAnswer(ev(ERROR_OBJECT) + DONE, "error_event", 0, said="engine died"),
    "object_later": OddAnswer(T + ev(ERROR_OBJECT) + DONE, "error_event", said="engine died"),
    "function_call": OddAnswer(
        delta(function_call={"name": "f", "arguments": ""}) + finish("function_call") + DONE
    ),
    "tool_calls": OddAnswer(delta(tool_calls=[{"index": 0}]) + finish("tool_calls") + DONE),
    "refusal": OddAnswer(delta(refusal="I cannot") + F + DONE),
    "reasoning": OddAnswer(delta(reasoning="hm") + delta(reasoning_content="so") + F + DONE, tokens=2),
    "message": OddAnswer(
        ev({"choices": [{"message": {"role": "assistant", "content": "w"}, "finish_reason": "stop"}]}) + DONE
    ),
    "role_only": OddAnswer(
        delta(role="assistant", content="") + F + DONE, "empty", 0, said="without a token"
    ),
    "no_stream": OddAnswer(
        json.dumps({"object": "chat.completion", "choices": [{"message": {"content": "w"}}]}),
        "no_stream",
        0,
        said="no stream of events: application/json",
        content_type="application/json",
    ),
    "no_stream_error": OddAnswer(
        json.dumps(ERROR), "error_event", 0, said="engine died", content_type="application/json"
    ),
    "no_done": OddAnswer(T + F, "truncated", said="finish_reason stop without [DONE]"),
    "no_finish": OddAnswer(T + DONE, "truncated", said="without a finish_reason"),
    "neither": OddAnswer(T, "truncated", said="after 1 tokens without [DONE]"),
    "no_event": OddAnswer(": hello\n\n", "truncated", 0, said="after 0 tokens"),
    "bad": OddAnswer(T + "data: {oops\n\n", "bad_event", said="{oops"),
    "unnamed_type": OddAnswer(T + F + DONE, content_type=None),
    "carriage_returns": OddAnswer((T + F + DONE).replace("\n", "\r\n")),
}
"""By a name that is a script of `scripted_server`."""
