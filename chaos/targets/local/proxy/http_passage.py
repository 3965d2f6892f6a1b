"""What becomes of one message on its way: it goes on as it comes, or its body is changed."""

from dataclasses import replace

from chaos.targets.http import rules as http_rules
from chaos.targets.http.effects import HttpRule
from chaos.targets.http.rules import BodyError, Request, Response
from chaos.targets.local.proxy.http_parts import Part
from chaos.targets.local.proxy.http_side import Side

_LONGEST_BODY_BYTES = 64 << 20
"""A body that is to be patched is collected whole; one that is longer is as one that is not JSON."""


class Passage:
    """One message, from its head on."""

    def __init__(self, side: Side) -> None:
        """Nothing of it has come."""
        self._side = side
        self._rules: tuple[HttpRule, ...] = ()
        self._head: Request | Response | None = None
        self._body = bytearray()

    @property
    def waits(self) -> bool:
        """Whether its head waits for all of its body."""
        return self._head is not None

    def begin(
        self, raw: bytes, head: Request | Response, rules: tuple[HttpRule, ...], *, has_body: bool
    ) -> None:
        """Send a head on at once, unless its length is not known yet.

        Args:
            raw: the same, as it is to be sent where the body stays as it is.
            head: as changed.
            rules: those that changed it.
            has_body: whether a body may follow where this goes to; if not, what comes of it is dropped.

        Raises:
            BodyError: its body cannot be changed so.
        """
        if not has_body:
            self._rules = rules
            self._side.pass_on(raw)
        elif http_rules.body_is_changed(rules):
            self._rules, self._head = rules, head
            if http_rules.body_is_replaced(rules):
                self._send_whole(head)
        else:
            self._side.pass_on(raw)

    def take(self, part: Part) -> None:
        """A part of the body, or what frames it.

        Raises:
            BodyError: its body cannot be changed as it is to be.
        """
        if not self._rules:
            self._side.pass_on(part.raw)
        elif self._head is not None:
            self._body += part.data
            if len(self._body) > _LONGEST_BODY_BYTES:
                raise BodyError("too long")
            if part.last:
                self._send_whole(self._head)

    def _send_whole(self, head: Request | Response) -> None:
        """Send a head and its changed body; what comes of the old body from now on is dropped."""
        body = http_rules.changed_body(self._rules, bytes(self._body))
        self._head, self._body = None, bytearray()
        sized = replace(head, headers=http_rules.with_length(head.headers, len(body)))
        self._side.pass_on(http_rules.as_bytes(sized) + body)
