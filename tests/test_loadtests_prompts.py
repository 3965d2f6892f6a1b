from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.plan import Arrival
from loadtests.prompts import prompt, prompt_of

seeds = st.integers(0, 2**32)
indexes = st.integers(0, 10**6)
lengths = st.integers(1, 6000)


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


@settings(deadline=None)
@given(seeds, indexes, lengths, lengths)
def test_a_prompt_of_a_session_begins_with_the_shorter_one_however_long_both_are(
    seed: int, session: int, shorter: int, longer: int
) -> None:
    texts = [
        prompt_of(Arrival(0, 0.0, length, 1, seed, shared_tokens=30, prefix=0, session=session, turn=0))
        for length in sorted((shorter, longer))
    ]
    assert texts[1].startswith(texts[0])
    assert len(texts[1]) == max(shorter, longer)


def test_long_prompts_have_nothing_in_common_beyond_what_they_share() -> None:
    first, second = (prompt(1, index, 40_000) for index in (0, 1))
    assert first[:20_000] == second[:20_000]
    same = sum(a == b for a, b in zip(first[20_000:], second[20_000:], strict=True)) / 20_000
    assert same < 0.2, "letters that happen to be alike"
    assert first[20_000:20_064] != second[20_000:20_064]
