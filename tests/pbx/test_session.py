"""What a session decides by itself, without a PBX."""

from bridge.pbx.session import DOUBT_LONGEST_S, doubt_s


def test_a_pbx_that_answers_polls_with_nothing_for_days() -> None:
    """The pauses grow to their limit and stay there, however often: never an error of arithmetic."""
    pauses = [doubt_s(doubts) for doubts in range(1, 3000)]

    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[1] < DOUBT_LONGEST_S == pauses[-1]
