"""Two bridges with the same password recognise each other; nobody else passes for one, or learns a code."""

from hypothesis import given
from hypothesis import strategies as st

from bridge.core import proof
from bridge.core.commands.request import LONGEST_ID

KEY = proof.key_of("broker", "innovaphone-mqtt-hq")
NONCE = bytes(range(proof.NONCE_BYTES))
ASKED = proof.question(KEY, NONCE)


def test_the_same_password_recognises_each_other() -> None:
    """Question and answer, both made by one and checked by the other."""
    other = proof.key_of("broker", "innovaphone-mqtt-hq")
    assert proof.is_question(ASKED)
    assert proof.is_ours(other, ASKED)
    assert proof.proves(KEY, ASKED, proof.answer(other, ASKED))
    assert len(ASKED) <= LONGEST_ID


def test_other_passwords_do_not() -> None:
    """Nor the same password with another client id, nor none."""
    for password, client_id in (
        ("other", "innovaphone-mqtt-hq"),
        ("broker ", "innovaphone-mqtt-hq"),
        ("", "innovaphone-mqtt-hq"),
        ("broker", "innovaphone-mqtt-branch"),
        ("\ud800", "innovaphone-mqtt-hq"),
    ):
        other = proof.key_of(password, client_id)
        assert not proof.is_ours(other, ASKED)
        assert not proof.proves(KEY, ASKED, proof.answer(other, ASKED))


def test_what_is_on_the_bus_proves_nothing() -> None:
    """The question itself, an answer to another question, and a question as an answer."""
    later = proof.question(KEY, NONCE[::-1])
    said = proof.answer(KEY, ASKED)
    for wrong in (ASKED, later, ASKED[-64:], proof.answer(KEY, later), said.upper(), said[:-1], "", None, 7):
        assert not proof.proves(KEY, ASKED, wrong)
    assert not proof.is_ours(KEY, f"{later[:-64]}{ASKED[-64:]}")
    assert not proof.is_ours(KEY, f"{ASKED[:-64]}{said}")


@given(st.one_of(st.text(), st.none(), st.integers(), st.from_regex(r"probe-[0-9a-f]{32}-[0-9a-f]{64}")))
def test_nobody_guesses_a_question(text: object) -> None:
    """Total for whatever is the id of a request."""
    assert not proof.is_question(text) or not proof.is_ours(KEY, str(text))
    assert not proof.is_ours(KEY, str(text))
    assert not proof.proves(KEY, ASKED, text)
