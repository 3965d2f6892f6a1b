"""Requests and answers on one connection, in turn: which rules select them, and what then becomes of them.

What no rule selects goes on byte for byte, each byte as soon as it is known to what it belongs. One exchange at a time:
a request that is sent before the answer to the one before has come waits for that, as Chaos Mesh's own proxy has it
wait. What is no HTTP/1.1 goes on as it is, and is not looked at again.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce

from chaos.targets.http import rules as http_rules
from chaos.targets.http.effects import HttpRule
from chaos.targets.http.rules import BodyError, Request, Response
from chaos.targets.local.proxy.ends import End, Outgoing
from chaos.targets.local.proxy.http_parts import MessageReader, NotHttpError, Part
from chaos.targets.local.proxy.http_passage import Passage
from chaos.targets.local.proxy.http_side import Side
from chaos.targets.local.proxy.relay import Direction
from chaos.targets.local.proxy.shaping import Wait

# Of the usual methods alone: the rest of a method that was cut would be one of its own.
_REQUEST_LINE = re.compile(rb"(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) [!-~]+ HTTP/1\.[01]\r?\n")
"""How bytes begin that are taken for the next request on a connection of which nothing is known."""


@dataclass(slots=True)
class Ruling:
    """One rule on one route, and how often it was followed."""

    rule: HttpRule
    selected: int = 0
    """Messages that it selected."""


class Dialogue:
    """The HTTP of one connection, for as long as rules are in force on its route."""

    def __init__(
        self,
        ends: tuple[End, End],
        ways: tuple[Direction, Direction],
        rulings: Mapping[str, Ruling],
        *,
        new: bool,
    ) -> None:
        """Read along from now on.

        Args:
            ends: the client's socket and the replica's.
            ways: toward the replica, and toward the client.
            rulings: of the route, by occurrence; looked at anew for each request.
            new: whether nothing has been sent yet; else what passes is read from the next request on.
        """
        self.over = False
        """Whether nobody reads along any more."""
        self._ends, self._ways, self._rulings = ends, ways, rulings
        self._up = Side(ways[0], self._look_up, self.end)
        self._down = Side(ways[1], self._look_down, lambda: None)
        self._in_step = new
        self._begin()
        self._stand(self._up, self._down)

    def forget(self, occurrence: str) -> None:
        """Have nothing kept by this occurrence; where no rule is left, read on to the end of an exchange at most."""
        for side in (self._up, self._down):
            side.forget(occurrence)
        self._leave_if_idle()

    def end(self) -> None:
        """End the connection on both sides, without any more bytes."""
        self.over = True
        self._stand(*self._ways)
        for side in (self._up, self._down):
            side.drop()
        for way in self._ways:
            way.close()

    def _stand(self, up: Outgoing, down: Outgoing) -> None:
        client, replica = self._ends
        client.outgoing = replica.incoming = up
        client.incoming = replica.outgoing = down

    def _begin(self) -> None:
        """Expect a request."""
        self._asking = MessageReader()
        self._answering: MessageReader | None = None
        self._request: Request | None = None
        self._known: frozenset[str] = frozenset()
        """The rules that were in force when the request came: its answer is theirs alone."""
        self._asks, self._answers = Passage(self._up), Passage(self._down)
        self._untouched = True

    # Toward the replica.

    def _look_up(self) -> None:
        up = self._up
        if not self._in_step:
            if not _REQUEST_LINE.match(up.waiting):
                self._pass_as_it_is(up)
                return
            self._in_step = True
        if not self._asking.ended and up.waiting:
            self._untouched = False
            self._asking.feed(up.take())
        self._read(up, self._asking, self._on_asking)
        if up.ending is not None and not (up.held or self.over or up.waiting):
            if self._asking.ended:
                up.pass_end_on()
            else:
                self._give_up()

    def _on_asking(self, part: Part) -> None:
        if isinstance(part.head, Request):
            self._ask(part.raw, part.head)
        else:
            self._asks.take(part)
        if part.last:
            self._up.waiting = self._asking.unread + self._up.waiting
            self._next_if_answered()

    def _ask(self, raw: bytes, request: Request) -> None:
        self._known = frozenset(self._rulings)

        def go(rules: tuple[HttpRule, ...]) -> None:
            changed = reduce(lambda head, rule: http_rules.changed_request(rule, head), rules, request)
            self._request, self._answering = changed, MessageReader(changed.method)
            head = raw if changed == request else http_rules.as_bytes(changed)
            self._asks.begin(head, changed, rules, has_body=True)
            if self._asks.waits and http_rules.expects_leave(changed):
                self._down.pass_on(b"HTTP/1.1 100 Continue\r\n\r\n")  # the replica hears of it with its body

        self._rule(self._up, lambda rule: http_rules.selects_request(rule, request), go)

    # Toward the client.

    def _look_down(self) -> None:
        down = self._down
        while not (down.held or self.over):
            reader = self._answering
            if reader is None or reader.ended:  # nobody has asked: not a rule's to select
                self._pass_as_it_is(down)
                return
            if down.waiting:
                reader.feed(down.take())
            if down.ending is not None:
                reader.feed(b"")
            self._read(down, reader, self._on_answering)
            if not reader.ended:
                return

    def _on_answering(self, part: Part) -> None:
        if isinstance(part.head, Response) and not part.interim:
            self._answer(part.raw, part.head)
        elif part.head is not None:
            self._down.pass_on(part.raw)
        else:
            self._answers.take(part)
        if part.last:
            assert self._answering is not None
            self._down.waiting = self._answering.unread + self._down.waiting
            self._next_if_answered()

    def _answer(self, raw: bytes, response: Response) -> None:
        request = self._request
        assert request is not None

        def go(rules: tuple[HttpRule, ...]) -> None:
            changed = reduce(lambda head, rule: http_rules.changed_response(rule, head), rules, response)
            if request.method != "HEAD":  # whose answer speaks of a body that never comes
                changed = http_rules.with_or_without_body(response, changed)
            head = raw if changed == response else http_rules.as_bytes(changed)
            has_body = changed.has_body and request.method != "HEAD"
            self._answers.begin(head, changed, rules, has_body=has_body)

        self._rule(self._down, lambda rule: http_rules.selects_response(rule, request, response), go)

    # Both ways.

    def _rule(
        self, side: Side, selects: Callable[[HttpRule], bool], go: Callable[[tuple[HttpRule, ...]], None]
    ) -> None:
        """Have a message go on by the rules that select it, once their delays are over; or end the connection."""
        chosen = self._choose(selects)
        waits = {
            which: Wait(rule.delay_s) for which, rule in chosen.items() if rule.delay_s and not rule.abort
        }

        def go_on() -> None:
            rules = tuple(rule for which, rule in chosen.items() if which in self._rulings)
            if any(rule.abort for rule in rules):
                self.end()
                return
            try:
                go(rules)
            except BodyError:
                self.end()

        if waits:
            side.keep(waits, go_on)
        else:
            go_on()

    def _choose(self, selects: Callable[[HttpRule], bool]) -> dict[str, HttpRule]:
        """The rules that select a message, up to the first that aborts it: nothing comes after that."""
        chosen: dict[str, HttpRule] = {}
        for occurrence, ruling in self._rulings.items():
            if occurrence in self._known and selects(ruling.rule):
                ruling.selected += 1
                chosen[occurrence] = ruling.rule
                if ruling.rule.abort:
                    break
        return chosen

    def _read(self, side: Side, reader: MessageReader, on_part: Callable[[Part], None]) -> None:
        try:
            while not (side.held or self.over) and (part := reader.next()) is not None:
                on_part(part)
        except NotHttpError:
            self._give_up()
        except BodyError:
            self.end()

    def _next_if_answered(self) -> None:
        """Expect the next request, once this one and its answer have passed whole."""
        if not (self._asking.ended and self._answering is not None and self._answering.ended):
            return
        self._begin()
        self._leave_if_idle()
        if not self.over and self._up.waiting and not self._up.held:
            self._look_up()

    def _leave_if_idle(self) -> None:
        """Where no rule is left and no message is under way, have bytes pass as if nobody had ever read along."""
        if not (self.over or self._rulings) and (self._untouched or not self._in_step):
            self._give_up()

    def _give_up(self) -> None:
        """Look at nothing any more: whatever comes goes on as it is."""
        self.over = True
        if self._asks.waits or self._answers.waits or self._up.held or self._down.held:
            self.end()  # half of what was to be changed, or to be late
            return
        self._stand(*self._ways)
        readers = (self._asking, self._answering)
        for side, reader in zip((self._up, self._down), readers, strict=True):
            left = b"" if reader is None or reader.ended else reader.unread
            side.pass_on(left + side.take())
            side.balance()
            side.pass_end_on()

    def _pass_as_it_is(self, side: Side) -> None:
        side.pass_on(side.take())
        side.pass_end_on()
