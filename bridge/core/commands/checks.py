"""Plans a request, and judges what it would dial. Pure.

What is dialled is judged when a request arrives and again when its turn comes: the users may have changed.
"""

from bridge.core.commands.dialling import Denial, DialRules, may_dial, target_of
from bridge.core.commands.verb import Action, Context, Fields
from bridge.core.commands.verbs import VERBS
from bridge.core.model import PbxState
from bridge.errors import CommandError


def plan(verb: str, context: Context, fields: Fields, rules: DialRules) -> Action:
    """What to do for a request, if the rules let it be dialled. Raises CommandError."""
    action = VERBS[verb].plan(context, fields)
    denial = denied(verb, context.state, fields, rules)
    if denial is not None:
        raise CommandError(denial.code, denial.message)
    return action


def denied(verb: str, state: PbxState, fields: Fields, rules: DialRules) -> Denial | None:
    """Why a request may not be dialled; None if it may, or if its verb makes nothing ring."""
    wanted = target_of(VERBS[verb].fields, fields, state)
    return None if wanted is None else may_dial(wanted, rules)
