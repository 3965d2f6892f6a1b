"""Answers of several choices, or of one that tells more than its text: every output is looked at on its way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from reference_server.api.errors import ApiError
from reference_server.api.generation import Generation
from reference_server.api.openai_answers import Answer, usage_of
from reference_server.api.openai_protocol import Order
from reference_server.api.probabilities import Probabilities, Probability
from reference_server.sequence import Output


class _Choice:
    """One of them, as far as it has come."""

    def __init__(self, generation: Generation, answer: Answer, probabilities: Probabilities) -> None:
        self.generation = generation
        self.answer = answer
        self.text = ""
        self.finish_reason = ""
        self.tokens = 0
        self.told: list[Probability] | None = None
        """Of each token, where the request asked."""
        self._probabilities = probabilities

    def take(self, output: Output) -> list[Probability] | None:
        """What the output tells of its token."""
        self.text += output.text
        self.tokens += 1
        self.finish_reason = output.finish_reason or ""
        if output.logprobs is None:
            return None
        told = self._probabilities.next(output.logprobs)
        self.told = self.told or []
        self.told.append(told)
        return [told]


class Choices:
    """The choices of one order. Add a generation for each of its sequences, enter them, then ask once."""

    def __init__(self, order: Order, answer: Answer, to_bytes: Callable[[int], bytes]) -> None:
        self._order = order
        self._answer = answer
        self._to_bytes = to_bytes
        self._choices: list[_Choice] = []
        self._arrivals: asyncio.Queue[tuple[_Choice, Output | ApiError]] = asyncio.Queue()

    def add(self, generation: Generation) -> Generation:
        """The next choice; enter what is returned."""
        index = len(self._choices)
        answer = self._answer.choice(index) if index else self._answer
        choice = _Choice(generation, answer, Probabilities(self._to_bytes))
        self._choices.append(choice)
        generation.hand_on(lambda arrival: self._arrivals.put_nowait((choice, arrival)))
        return generation

    async def whole(self) -> dict[str, Any]:
        """The body of an answer that does not stream; raises ApiError where a choice fails."""
        async for choice, output in self._outputs():
            choice.take(output)
        chosen = [one.answer.chosen(one.text, one.finish_reason, one.told) for one in self._choices]
        return self._answer.of_choices(chosen, self._usage())

    async def events(self) -> AsyncIterator[bytes]:
        """The events of a stream, choices mixed as their tokens come; raises ApiError where one fails."""
        async for choice, output in self._outputs():
            data = b"" if choice.tokens else choice.answer.opening()
            probabilities = choice.take(output)
            usage = self._usage() if self._order.continuous_usage else None
            if output.text or probabilities is not None:
                data += choice.answer.piece(output.text, probabilities, usage)
            if choice.finish_reason:
                data += choice.answer.finish(choice.finish_reason, usage)
            if data:
                yield data
        yield self._answer.closing(self._usage())

    async def _outputs(self) -> AsyncIterator[tuple[_Choice, Output]]:
        left = len(self._choices)
        while left:
            choice, arrival = await self._arrivals.get()
            if isinstance(arrival, ApiError):
                raise arrival
            left -= arrival.finish_reason is not None
            yield choice, arrival

    def _usage(self) -> dict[str, Any]:
        """What has arrived so far; a prompt counts once, however many answers it has."""
        prompts = [one.generation.sequence for one in self._choices[:: self._order.per_prompt]]
        return usage_of(
            sum(len(one.prompt) for one in prompts),
            sum(one.tokens for one in self._choices),
            sum(one.cached for one in prompts),
        )
