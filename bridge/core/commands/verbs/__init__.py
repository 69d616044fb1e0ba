"""The verbs that clients may send: each module in this folder is one, named as the verb is on the bus.

There is no list to extend. The configuration, the checks, the metrics and the messages read VERBS.
"""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

from bridge.core.commands.verb import Verb


def _verb(name: str) -> Verb:
    verb: Verb = import_module(f"{__name__}.{name}").VERB
    return verb


VERBS: Mapping[str, Verb] = {module.name: _verb(module.name) for module in iter_modules(__path__)}
SETS: Mapping[str, tuple[str, ...]] = {
    group: tuple(name for name, verb in VERBS.items() if verb.group == group)
    for group in sorted({verb.group for verb in VERBS.values()})
}
"""The sets of verbs that a configuration may allow by one word."""
