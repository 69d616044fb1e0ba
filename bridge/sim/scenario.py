"""Scenes for a simulated PBX: steps from YAML, played in order. Errors name the step."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files

import yaml

from bridge.sim.model import SimUser
from bridge.sim.moves import SimCall
from bridge.sim.pbx import SimPbx

Words = Mapping[str, object]
Calls = dict[str, SimCall]


class ScenarioError(Exception):
    """The scene cannot be played; the message names the step and the problem."""


@dataclass(frozen=True, slots=True)
class Step:
    """One action at a number of seconds."""

    number: int
    at: float
    action: str
    words: Words


@dataclass(frozen=True, slots=True)
class Scene:
    """Users and their steps."""

    users: tuple[SimUser, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Action:
    """An action: its arguments and its effect. `users`: the arguments that must name a user."""

    do: Callable[[SimPbx, Calls, Words], object]
    needs: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    users: tuple[str, ...] = ()


def office() -> Scene:
    """The office that ships with the package."""
    return read((files("bridge.sim") / "office.yaml").read_text(encoding="utf-8"))


def read(text: str) -> Scene:
    """A scene from YAML. Raises ScenarioError."""
    try:
        source = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ScenarioError(f"not YAML: {error}") from None
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError):
        raise ScenarioError("not YAML: a value that cannot be what its tag or form says") from None
    if not isinstance(source, dict) or not isinstance(source.get("users"), list):
        raise ScenarioError("expected 'users:' and 'scene:'")
    users = tuple(_user(number, words) for number, words in enumerate(source["users"], 1))
    listed = source.get("scene") or []
    if not isinstance(listed, list):
        raise ScenarioError("'scene:' is to be a list of steps")
    steps = tuple(_step(number, words) for number, words in enumerate(listed, 1))
    _check(steps, {user.cn for user in users})
    return Scene(users, steps)


async def play(
    pbx: SimPbx, scene: Scene, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Play all steps once. Raises ScenarioError at a step that is impossible.

    Steps of a call that has ended, or that the user has left, are skipped: a command may have ended it.
    """
    calls: Calls = {}
    now = 0.0
    for step in scene.steps:
        await sleep(max(0.0, step.at - now))
        now = max(now, step.at)
        try:
            ACTIONS[step.action].do(pbx, calls, step.words)
        except KeyError as error:
            if "call" in step.words:
                continue
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
    at = words.get("at") if isinstance(words, dict) else None
    if not isinstance(words, dict) or isinstance(at, bool) or not isinstance(at, int | float) or not at >= 0:
        raise ScenarioError(f"step {number}: expected 'at' in seconds and one action")
    actions = [name for name in words if name != "at"]
    if len(actions) != 1 or actions[0] not in ACTIONS:
        raise ScenarioError(f"step {number}: expected one of {', '.join(ACTIONS)}")
    inner = words[actions[0]]
    if not isinstance(inner, dict):
        raise ScenarioError(f"step {number}: {actions[0]}: expected keys")
    return Step(number, float(at), actions[0], inner)


def _check(steps: Iterable[Step], users: set[str]) -> None:
    """Raise ScenarioError at the first step with an unknown name, or earlier than the step before."""
    calls: set[str] = set()
    before = 0.0
    for step in steps:
        problem = _problem(step, users, calls)
        if step.at < before:
            problem = f"'at' is {step.at:g}, before the step that comes first ({before:g})"
        if problem:
            raise ScenarioError(f"step {step.number}: {step.action}: {problem}")
        before = step.at
        calls |= {_text(step.words, "as")} if "as" in step.words else set()


def _problem(step: Step, users: set[str], calls: set[str]) -> str:
    action, words = ACTIONS[step.action], step.words
    missing = [name for name in action.needs if name not in words]
    unknown = [str(name) for name in words if name not in {*action.needs, *action.may}]
    strangers = [_text(words, name) for name in action.users if name in words and words[name] not in users]
    if missing or unknown:
        return f"'{missing[0]}' is missing" if missing else f"'{unknown[0]}' is not known here"
    if strangers:
        return f"there is no user '{strangers[0]}'"
    silent = [_text(words, name) for name in ("call", "other") if name in words]
    strange = [name for name in silent if name not in calls]
    return f"no step before names a call '{strange[0]}'" if strange else ""


def _text(words: Words, name: str) -> str:
    return str(words.get(name, ""))


def _call(calls: Calls, words: Words, name: str = "call") -> SimCall:
    return calls[_text(words, name)]


def _ring(pbx: SimPbx, calls: Calls, words: Words) -> None:
    calls[_text(words, "as")] = pbx.ring(_text(words, "to"), _text(words, "number"), _text(words, "name"))


def _dial(pbx: SimPbx, calls: Calls, words: Words) -> None:
    calls[_text(words, "as")] = pbx.dial(_text(words, "from"), _text(words, "to"))


def _hang_up(_pbx: SimPbx, calls: Calls, words: Words) -> None:
    cause = words.get("cause", 16)
    _call(calls, words).hang_up(_text(words, "by"), cause if isinstance(cause, int) else 16)


def _transfer(_pbx: SimPbx, calls: Calls, words: Words) -> None:
    _call(calls, words).transfer(_text(words, "by"), _call(calls, words, "other"))


def _presence(pbx: SimPbx, _calls: Calls, words: Words) -> None:
    pbx.set_presence(_text(words, "user"), _text(words, "activity"), _text(words, "note"))


def _switch(pbx: SimPbx, _calls: Calls, words: Words) -> None:
    pbx.switch(_text(words, "user"), manual=bool(words.get("manual")), on=bool(words.get("on")))


def _register(pbx: SimPbx, _calls: Calls, words: Words) -> None:
    pbx.change_user(_text(words, "user"), registered=bool(words.get("on", True)))


def _unregister(pbx: SimPbx, _calls: Calls, words: Words) -> None:
    pbx.change_user(_text(words, "user"), registered=False)


ACTIONS: Mapping[str, Action] = {
    "ring": Action(_ring, ("to",), ("as", "number", "name"), ("to",)),
    "dial": Action(_dial, ("from", "to"), ("as",), ("from",)),
    "answer": Action(
        lambda _, calls, words: _call(calls, words).answer(_text(words, "by") or None),
        ("call",),
        ("by",),
        ("by",),
    ),
    "hang_up": Action(_hang_up, ("call",), ("by", "cause"), ("by",)),
    "hold": Action(
        lambda _, calls, words: _call(calls, words).hold(_text(words, "by")), ("call",), ("by",), ("by",)
    ),
    "retrieve": Action(
        lambda _, calls, words: _call(calls, words).retrieve(_text(words, "by")), ("call",), ("by",), ("by",)
    ),
    "divert": Action(
        lambda _, calls, words: _call(calls, words).divert(_text(words, "from"), _text(words, "to")),
        ("call", "from", "to"),
        users=("from", "to"),
    ),
    "transfer": Action(_transfer, ("call", "other", "by"), users=("by",)),
    "presence": Action(_presence, ("user",), ("activity", "note"), ("user",)),
    "switch": Action(_switch, ("user",), ("manual", "on"), ("user",)),
    "register": Action(_register, ("user",), ("on",), ("user",)),
    "unregister": Action(_unregister, ("user",), users=("user",)),
    "rest": Action(lambda _, __, ___: None),
}
