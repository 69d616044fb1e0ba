"""What is left of a remote party: by its number, by the topic, once and for all."""

import re
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.commands.answer import Address, Answer
from bridge.core.commands.discretion import Discretion
from bridge.core.model import RemoteParty
from bridge.core.numbers import dialable
from bridge.core.presentation import Presentation, TopicClass
from bridge.core.privacy import OPEN, Privacy, PrivacyRule, Shown, Word
from bridge.core.records import CallState, Party
from bridge.core.value import evolve
from tests.core.builders import ANNA, History, leg

STATE, EVENT, RESPONSE, LOG = TopicClass
KEY = b"k" * 32
ACME = RemoteParty("+497031123456", "ACME GmbH")
BERT = RemoteParty("22", "Bert", user="bert", internal=True)
INTERNAL = (PrivacyRule(Shown.OFF, internal=True),)


def shown(party: RemoteParty, privacy: Privacy, topic_class: TopicClass = STATE) -> tuple[str, str]:
    """Number and name."""
    seen = privacy.show(party, topic_class)
    return seen.number, seen.name


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("+497031123456", "xxx456"),
        ("0123456", "xxx56"),
        ("0123", "xxx3"),
        ("22", "xxx"),
        ("", ""),
        ("anna@pbx.example", "xxx"),
        ("*31#0711123", "xxx123"),
    ],
)
def test_a_mask_keeps_the_end_of_a_number(number: str, masked: str) -> None:
    """Three digits at most, and a third of it; its length is not told, and nobody can dial it."""
    assert shown(RemoteParty(number), Privacy(Shown.MASKED)) == (masked, "")
    assert dialable(masked) is None


def test_what_each_word_shows() -> None:
    """Names follow the numbers; a topic id would be a name."""
    known = evolve(BERT, internal=False)

    assert Privacy(Shown.FULL).show(known, STATE) == known
    assert shown(ACME, Privacy(Shown.MASKED)) == ("xxx456", "A…")
    assert shown(ACME, Privacy(Shown.OFF)) == ("", "")
    for mode in (Shown.MASKED, Shown.HASHED, Shown.OFF):
        assert Privacy(mode, key=KEY).show(known, STATE).user is None


def test_a_pseudonym_is_of_the_number_and_the_key() -> None:
    """The same for each spelling; another one for another number or key."""
    privacy = Privacy(Shown.HASHED, key=KEY)
    number, name = shown(ACME, privacy)

    assert re.fullmatch("~[0-9a-f]{16}", number)
    assert name not in {"", number}
    assert shown(evolve(ACME, number="00 49 (7031) 12 34 56"), privacy)[0] == number
    assert shown(evolve(ACME, number="+497031123457"), privacy)[0] != number
    assert shown(ACME, replace(privacy, key=b"other"))[0] != number
    assert shown(RemoteParty(), privacy) == ("", "")
    assert KEY.decode() not in repr(privacy)


def test_users_of_the_pbx_are_readable_unless_a_rule_says_internal() -> None:
    """Their numbers are on the bus anyway; who talks to whom may be another matter."""
    for mode in Shown:
        assert Privacy(mode, key=KEY).show(BERT, STATE) == BERT
    hidden = Privacy(Shown.FULL, INTERNAL).show(BERT, STATE)
    assert hidden == RemoteParty(internal=True)
    assert Privacy(Shown.FULL, INTERNAL).show(ACME, STATE) == ACME


def test_the_first_rule_that_fits_decides() -> None:
    """By number, by topic, by both."""
    rules = (
        PrivacyRule(Shown.OFF, topics=frozenset({LOG})),
        PrivacyRule(Shown.FULL, "00497031*"),
        PrivacyRule(Shown.OFF, "0049*", topics=frozenset({EVENT})),
    )
    privacy = Privacy(Shown.MASKED, rules)
    munich = evolve(ACME, number="+498912345")

    assert [shown(ACME, privacy, each)[0] for each in TopicClass] == [ACME.number] * 3 + [""]
    assert [shown(munich, privacy, each)[0] for each in TopicClass] == ["xxx345", "", "xxx345", ""]


def test_what_was_hidden_before_is_not_shown_more_of_by_another_configuration() -> None:
    """A form that is in use stays, one that is not goes; nothing hidden: what is left is shown."""
    masked, hashed = (Privacy(mode, key=KEY).show(ACME, STATE) for mode in (Shown.MASKED, Shown.HASHED))

    assert Privacy(Shown.OFF).show(masked, STATE) == RemoteParty()
    assert Privacy(Shown.MASKED).show(hashed, STATE) == RemoteParty()
    assert Privacy(Shown.HASHED, key=KEY).show(masked, STATE) == RemoteParty()
    assert OPEN.show(masked, STATE) == masked
    mixed = Privacy(Shown.OFF, (PrivacyRule(Shown.MASKED, "0049*", topics=frozenset({STATE})),))
    assert mixed.show(masked, STATE) == masked
    assert mixed.show(masked, EVENT) == RemoteParty()


@pytest.mark.parametrize(
    "number",
    [
        "01711234567",
        "01711234567#",
        "01711234567A",
        "r01711234567",
        "0171*1234567",
        "*31#01711234567",
        "0171 123-4567@pbx7.example",
        "0171x1234567",
        "\uff10\uff11\uff17\uff11\uff11\uff12\uff13",
    ],
)
def test_a_rule_that_hides_sees_the_digits_in_every_spelling(number: str) -> None:
    """One that shows must not be led on by them."""
    other = number.replace("017", "018").replace("\uff17", "\uff18")
    for mode in (Shown.MASKED, Shown.HASHED, Shown.OFF):
        privacy = Privacy(Shown.FULL, (PrivacyRule(mode, "0171*"),), KEY)
        assert shown(RemoteParty(number), privacy)[0] != number
        assert privacy.word(Word(number), STATE) != number
        assert shown(RemoteParty(other), privacy)[0] == other
        assert shown(RemoteParty(number, internal=True), privacy)[0] == number
    showing = Privacy(Shown.OFF, (PrivacyRule(Shown.FULL, "0171*"),))
    assert shown(RemoteParty(number), showing)[0] == ("" if number != "01711234567" else number)


def test_a_rule_sees_the_published_form() -> None:
    """The same number within the country and in E.164 are two patterns; 00 and + are one."""
    rules = tuple(PrivacyRule(Shown.OFF, each) for each in ("0171*", "0049171*"))
    for number in ("+491711234567", "r+491711234567", "00491711234567"):
        assert shown(RemoteParty(number), Privacy(rules=rules[:1]))[0] == number
        assert shown(RemoteParty(number), Privacy(rules=rules))[0] == ""


RULES = st.builds(
    PrivacyRule,
    st.sampled_from(Shown),
    st.sampled_from([None, "0049*", "2?", "*", "0711123456"]),
    st.booleans(),
    st.frozensets(st.sampled_from(TopicClass), max_size=2),
)
PRIVACY = st.builds(Privacy, st.sampled_from(Shown), st.lists(RULES, max_size=3).map(tuple), st.just(KEY))
NUMBERS = st.sampled_from(["0711123456", "+497111", "22", "", "xxx", "xxx12", "~" + "a" * 16, "a@b.example"])
PARTIES = st.builds(
    RemoteParty, NUMBERS | st.text(max_size=9), st.text(max_size=9), st.none(), st.booleans(), st.booleans()
)


@settings(max_examples=500)
@given(PARTIES, PRIVACY, st.sampled_from(TopicClass))
def test_hidden_twice_is_hidden_once(party: RemoteParty, privacy: Privacy, topic_class: TopicClass) -> None:
    """Or a call that was read back would change with each restart."""
    once = privacy.show(party, topic_class)

    assert privacy.show(once, topic_class) == once


@given(
    st.from_regex(r"\+?[0-9]{7,15}", fullmatch=True),
    st.sampled_from([*Shown][1:]),
    st.sampled_from(TopicClass),
)
def test_of_a_number_no_more_than_its_end_is_left(number: str, mode: Shown, topic_class: TopicClass) -> None:
    """In no mode, nowhere; also of a name that is a number."""
    seen = Presentation((Privacy(mode, key=KEY).show,)).party(RemoteParty(number, number), topic_class)
    left = f"{seen['number']} {seen['name']}"

    assert number[-4:] not in left or mode is Shown.HASHED
    assert number.lstrip("+")[:6] not in left


TALKING = (
    History()
    .start()
    .see(leg(state=CallState.CONNECTED, remote=Party("0711123456", display_name="ACME GmbH")))
)
CALL = TALKING.state.calls[ANNA][0].id
SENTENCES: tuple[tuple[str, dict[str, object], str], ...] = (
    ("'0900 12345' costs", {"dialled": ("0900 12345",)}, "'xxx345' costs"),
    ("090012345 costs, 109001234567 not", {"dialled": ("0900 12345",)}, "xxx345 costs, 109001234567 not"),
    ("no user 'zoe' on hq", {"user": "zoe"}, "no user 'z…' on hq"),
    ("'Bert Ypsilon' is a phone", {"dialled": ("Bert Ypsilon",)}, "'Bert Ypsilon' is a phone"),
    ("22 and bert", {"dialled": ("22", "bert")}, "22 and bert"),
    ("'ACME GmbH' (0711123456)", {"call": CALL}, "'A…' (xxx456)"),
    ("'ACME GmbH' (0711123456)", {"user": "anna"}, "'A…' (xxx456)"),
    ("'ACME GmbH' (0711123456)", {"named": (CALL,)}, "'A…' (xxx456)"),
    ("'ACME GmbH' (0711123456)", {"named": ("bert", "anna")}, "'A…' (xxx456)"),
    ("no user 'Zoe' on hq", {"named": ("Zoe",)}, "no user 'Z…' on hq"),
    ("no user '01711234567' on hq", {"named": ("01711234567",)}, "no user 'xxx567' on hq"),
    ("no verb '01711234567'", {}, "no verb 'xxx567'"),
    ("'x01711234567' is not a field of this verb", {}, "'xxx567' is not a field of this verb"),
    (f"no running call '{CALL}' on hq", {"call": CALL, "named": (CALL,)}, f"no running call '{CALL}' on hq"),
    ("'22' has no call; '65536' bytes", {}, "'22' has no call; 'xxx6' bytes"),
    ("larger than 65536 bytes", {}, "larger than 65536 bytes"),
    ("'ACME GmbH' (0711123456)", {"user": "bert", "call": "e-99"}, "'ACME GmbH' (0711123456)"),
)


@pytest.mark.parametrize(("sentence", "about", "told"), SENTENCES)
def test_a_sentence_quotes_no_more_than_may_be_shown(
    sentence: str, about: dict[str, object], told: str
) -> None:
    """What was asked for, in any spelling, and who is on the phone; not what only looks alike."""
    address = Address("t", "call", **about)  # type: ignore[arg-type]
    discretion = Discretion(Privacy(Shown.MASKED), TALKING.state, address)

    assert discretion.reason(sentence) == told
    assert discretion.reply(Answer(address, "refused", sentence)).message == told
    everything = Discretion(OPEN, TALKING.state, address)
    assert (everything.reason(sentence), everything.address()) == (sentence, address)


def test_numbers_that_stand_for_a_verb_or_a_call_are_hidden() -> None:
    """The reply repeats an unknown verb, the log names the call that was asked for."""
    address = Address("t", "01711234567", call="01711234567")
    discretion = Discretion(Privacy(Shown.MASKED), TALKING.state, address)

    assert discretion.reply(Answer(address, "refused", "no")).address.verb == "xxx567"
    assert discretion.address().call == "xxx567"
    running = Discretion(Privacy(Shown.MASKED), TALKING.state, Address("t", "clear", call=CALL))
    assert running.address().call == CALL


def test_a_name_is_hidden_by_the_rule_for_its_number() -> None:
    """In a sentence as in a state."""
    privacy = Privacy(Shown.FULL, (PrivacyRule(Shown.OFF, "0711*"),))
    discretion = Discretion(privacy, TALKING.state, Address("t", "transfer", named=(CALL,)))

    assert discretion.reason("'ACME GmbH' is not a published user") == "'xxx' is not a published user"


def test_reply_and_log_are_told_apart() -> None:
    """Each by its own rule; what is off is a mask in a sentence."""
    rules = (PrivacyRule(Shown.OFF, topics=frozenset({LOG})),)
    address = Address("t", "call", user="anna", dialled=("0900123456", "Zoe"))
    discretion = Discretion(Privacy(Shown.FULL, rules), TALKING.state, address)

    assert discretion.reason("0900123456, Zoe, anna") == "xxx, xxx, anna"
    assert discretion.reply(Answer(address, "refused", "0900123456")).message == "0900123456"
    assert (discretion.address().user, discretion.address().dialled) == ("anna", ("xxx", "xxx"))


def test_a_word_is_hidden_like_a_party() -> None:
    """Numbers as numbers, others as names."""
    for text, mode in product(("0711123456", "ACME"), Shown):
        privacy = Privacy(mode, key=KEY)
        party = RemoteParty(text) if text[0] == "0" else RemoteParty(name=text)
        assert privacy.word(Word(text), STATE) == ("".join(shown(party, privacy)) or "xxx")
        assert privacy.word(Word(text, internal=True), STATE) == text
