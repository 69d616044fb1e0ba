"""A scene for a simulated PBX: steps as data, from YAML, played one after the other. Errors name the step."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files

import yaml

from bridge.sim.exchange import SimCall
from bridge.sim.model import SimUser
from bridge.sim.pbx import SimPbx

Words = Mapping[str, object]


class ScenarioError(Exception):
    """The scene cannot be played; the message names the step and the problem."""


@dataclass(frozen=True, slots=True)
class Step:
    """At so many seconds, do one thing."""

    number: int
    at: float
    action: str
    words: Words


@dataclass(frozen=True, slots=True)
class Scene:
    """Users and what they do."""

    users: tuple[SimUser, ...]
    steps: tuple[Step, ...]


def office() -> Scene:
    """The office that comes with the package."""
    return read((files("bridge.sim") / "office.yaml").read_text(encoding="utf-8"))


def read(text: str) -> Scene:
    """A scene from YAML. Raises ScenarioError."""
    try:
        source = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ScenarioError(f"not YAML: {error}") from None
    if not isinstance(source, dict) or not isinstance(source.get("users"), list):
        raise ScenarioError("expected 'users:' and 'scene:'")
    users = tuple(_user(number, words) for number, words in enumerate(source["users"], 1))
    steps = tuple(_step(number, words) for number, words in enumerate(source.get("scene") or [], 1))
    return Scene(users, steps)


async def play(
    pbx: SimPbx, scene: Scene, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Play all steps once. Raises ScenarioError at one that does not fit."""
    calls: dict[str, SimCall] = {}
    now = 0.0
    for step in scene.steps:
        await sleep(max(0.0, step.at - now))
        now = max(now, step.at)
        try:
            _ACTIONS[step.action](pbx, calls, step.words)
        except (KeyError, StopIteration, TypeError) as error:
            raise ScenarioError(f"step {step.number}: {step.action}: nothing fits {error}") from None


def _user(number: int, words: object) -> SimUser:
    if not isinstance(words, dict) or not isinstance(words.get("cn"), str):
        raise ScenarioError(f"user {number}: expected keys, cn among them")
    fields = dict(words)
    active = bool(fields.pop("active", False))
    fields["groups"] = tuple((str(name), active) for name in fields.get("groups", ()))
    fields["emails"] = tuple(fields.get("emails", ()))
    try:
        return SimUser(**fields)
    except TypeError as error:
        raise ScenarioError(f"user {number}: {error}") from None


def _step(number: int, words: object) -> Step:
    if not isinstance(words, dict) or not isinstance(words.get("at"), int | float):
        raise ScenarioError(f"step {number}: expected 'at' in seconds and one action")
    actions = [name for name in words if name != "at"]
    if len(actions) != 1 or actions[0] not in _ACTIONS:
        raise ScenarioError(f"step {number}: expected one of {', '.join(_ACTIONS)}")
    inner = words[actions[0]]
    if not isinstance(inner, dict):
        raise ScenarioError(f"step {number}: {actions[0]}: expected keys")
    return Step(number, float(words["at"]), actions[0], inner)


def _text(words: Words, name: str) -> str:
    return str(words.get(name, ""))


def _ring(pbx: SimPbx, calls: dict[str, SimCall], words: Words) -> None:
    calls[_text(words, "as")] = pbx.ring(_text(words, "to"), _text(words, "number"), _text(words, "name"))


def _dial(pbx: SimPbx, calls: dict[str, SimCall], words: Words) -> None:
    calls[_text(words, "as")] = pbx.dial(_text(words, "from"), _text(words, "to"))


def _presence(pbx: SimPbx, _calls: dict[str, SimCall], words: Words) -> None:
    pbx.set_presence(_text(words, "user"), _text(words, "activity"), _text(words, "note"))


def _switch(pbx: SimPbx, _calls: dict[str, SimCall], words: Words) -> None:
    pbx.switch(_text(words, "user"), manual=bool(words.get("manual")), on=bool(words.get("on")))


def _register(pbx: SimPbx, _calls: dict[str, SimCall], words: Words) -> None:
    pbx.change_user(_text(words, "user"), registered=bool(words.get("on", True)))


_ACTIONS: Mapping[str, Callable[[SimPbx, dict[str, SimCall], Words], object]] = {
    "ring": _ring,
    "dial": _dial,
    "answer": lambda _pbx, calls, words: calls[_text(words, "call")].answer(_text(words, "by") or None),
    "hang_up": lambda _pbx, calls, words: calls[_text(words, "call")].hang_up(_text(words, "by")),
    "hold": lambda _pbx, calls, words: calls[_text(words, "call")].hold(_text(words, "by")),
    "retrieve": lambda _pbx, calls, words: calls[_text(words, "call")].retrieve(_text(words, "by")),
    "presence": _presence,
    "switch": _switch,
    "register": _register,
    "rest": lambda _pbx, _calls, _words: None,
}
