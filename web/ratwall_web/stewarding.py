"""What the page asks of the steward, by way of the controller; and whether there is a steward.

Without the box's own image there is none. Then the pages say so in words and offer nothing that
cannot work: nothing is hidden.
"""

from typing import Any

from ratwall.steward.order import Verb
from ratwall_web.services import services


def is_image() -> bool:
    """Tell whether this box was started from Ratwall's own image."""
    return services().config.steward_socket.is_socket()


def order(verb: Verb, **arguments: Any) -> None:
    """Have the steward begin; RefusedError says in words why it did not."""
    services().control.change("steward", verb=verb.value, **arguments)
