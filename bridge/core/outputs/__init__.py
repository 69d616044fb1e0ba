"""The messages that a link publishes unasked, one module for each kind. Replies to commands are not outputs.

To add an output: write a module with an `Output` and name it in `OUTPUTS`; nothing else changes.
The order is that in which a new broker session hears the retained topics. Changes are queued in the
opposite order, so that `online` comes after the users that it promises. Events are queued after all of these.
"""

from bridge.core.outputs import events, link_state, user_states
from bridge.core.outputs.output import Output

OUTPUTS: tuple[Output, ...] = (link_state.OUTPUT, user_states.OUTPUT, events.OUTPUT)
