"""What only root may do, on its way from the page to the steward: checked, noted, then asked.

Never does any of it itself. The entry in the audit trail is on the disk before the steward hears
of it: a box that restarts has said who asked. What a program may ask with a token is less than
what a person may who has just typed the password.
"""

from typing import Any

from ratwall.controller.messages import Fields
from ratwall.controller.service import Service
from ratwall.errors import NotPermittedError, RatwallError
from ratwall.steward.client import StewardError
from ratwall.steward.order import Verb, read_order

# They cut the office off for good, forget everything, or let somebody in.
PERSONS_VERBS = frozenset({Verb.POWER_OFF, Verb.FACTORY_RESET, Verb.SUPPORT_ON})
NOT_OURS = ("command", "author", "reason")

Answer = dict[str, Any]


class Stewardship:
    """The one command, "steward"; the verb and its keys are the steward's own."""

    def __init__(self, service: Service, api_author: str) -> None:
        self._service = service
        self._api_author = api_author

    def ask(self, fields: Fields, author: str) -> Answer:
        """Have the steward begin what is asked; RatwallError says why not."""
        service = self._service
        order = read_order({key: value for key, value in fields.items() if key not in NOT_OURS})
        if author.startswith(self._api_author) and order.verb in PERSONS_VERBS:
            raise NotPermittedError(
                f"{order.verb}: not with a token; it asks for the password: on the admin page"
            )
        if not service.steward.is_there:
            raise StewardError(
                f"{order.verb}: this is only on a box started from Ratwall's own image"
            )
        service.writer.audit(service.clock(), author, order.verb.value, order.words())
        service.flush()
        try:
            service.steward.ask(order)
        except RatwallError as error:
            service.writer.audit(service.clock(), author, order.verb.value, f"not done: {error}")
            raise
        return {"begun": order.verb.value}
