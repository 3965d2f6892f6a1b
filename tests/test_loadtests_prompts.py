from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.prompts import prompt

seeds = st.integers(0, 2**32)
indexes = st.integers(0, 10**6)
lengths = st.integers(1, 3000)


@settings(deadline=None)
@given(seeds, indexes, lengths)
def test_a_prompt_has_exactly_the_length_asked_for(seed: int, index: int, length_bytes: int) -> None:
    assert len(prompt(seed, index, length_bytes).encode()) == length_bytes


@settings(deadline=None)
@given(seeds, indexes, indexes, lengths)
def test_prompts_of_a_seed_begin_alike_for_half_their_length(
    seed: int, first: int, second: int, length_bytes: int
) -> None:
    half = round(length_bytes / 2)
    assert prompt(seed, first, length_bytes)[:half] == prompt(seed, second, length_bytes)[:half]


@settings(deadline=None)
@given(seeds, indexes)
def test_prompts_differ_by_index_and_by_seed(seed: int, index: int) -> None:
    text = prompt(seed, index, 200)
    assert text != prompt(seed, index + 1, 200)
    assert text[:100] != prompt(seed + 1, index, 200)[:100]


def test_a_prompt_is_the_same_on_every_platform_and_version() -> None:
    assert prompt(1, 0, 64) == "plant again earth tower learn abwater never order order press ea"
