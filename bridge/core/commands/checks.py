"""What a request may do, judged against the configuration and the PBX's state; then its plan. Pure.

A request is judged when it arrives and again when its turn comes: the users may have changed meanwhile.
"""

from bridge.core.commands.dialling import DialRules, may_dial, target_of
from bridge.core.commands.permissions import Permissions, permits
from bridge.core.commands.request import Request
from bridge.core.commands.verb import Action, CallAction, Context
from bridge.core.commands.verbs import VERBS
from bridge.core.model import PbxState
from bridge.errors import CommandError


def forbidden(request: Request, permissions: Permissions, state: PbxState) -> CommandError | None:
    """Why the configuration does not permit a request: its verb first, then what it would dial.

    A user who is not there comes later in the contract's order of codes, when the request has its turn.
    """
    if not permits(permissions, request.verb, request.fields, state):
        wanted = f"'{request.verb}' (set {VERBS[request.verb].group})"
        sentence = f"the bridge's commands.allow does not permit {wanted} here"
        return CommandError("not_permitted", sentence)
    denial = _undialled(request, state, permissions.dialling)
    return None if denial is None or denial.code == "unknown_user" else denial


def plan(request: Request, context: Context, rules: DialRules) -> Action:
    """What to do for a request, if the rules let it be dialled. Raises CommandError."""
    action = VERBS[request.verb].plan(context, request.fields)
    denial = _undialled(request, context.state, rules)
    if denial is not None:
        raise denial
    if isinstance(action, CallAction) and action.added and action.call.unreported:
        sentence = "the PBX has not reported the digits that were added before; send all in one request"
        raise CommandError("rate_limited", sentence, retryable=True)
    return action


def _undialled(request: Request, state: PbxState, rules: DialRules) -> CommandError | None:
    """Why a request may not be dialled; None if it may, or if its verb makes nothing ring."""
    wanted = target_of(VERBS[request.verb].fields, request.fields, state)
    return None if wanted is None else may_dial(wanted, rules)
