"""The scan over good and bad requests by itself; what runs are told by it is in test_chaos_recovery.py."""

import numpy as np

from chaos.measuring import scan


def test_good_requests_that_make_up_for_bad_ones_exactly_end_a_stretch_wherever_the_sequence_begins() -> None:
    """One in twenty is tolerated: two bad ones and 38 good ones add nothing, however floats are rounded."""
    outage = [True] * 20 + [False] * 38 + [True] * 2
    assert {
        (found.first - before, found.last - before)
        for before in range(400)
        for found in scan.stretches(np.array([False] * before + outage), 0.05, 2.0)
    } == {(0, 19)}
