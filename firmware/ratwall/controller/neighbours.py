"""Hardware addresses of devices, as the kernel's neighbour table has them."""

from collections.abc import Callable

from ratwall.controller.complaints import Complaints
from ratwall.errors import RatwallError


class Neighbours:
    """Asks the kernel once an address, until it is told to forget: addresses change hands."""

    def __init__(self, ask: Callable[[str], str | None], complaints: Complaints) -> None:
        """`ask` gives the MAC of an address on the LAN, None if unknown; it may raise."""
        self._ask = ask
        self._complaints = complaints
        self._macs: dict[str, str | None] = {}

    def mac_of(self, address: str) -> str | None:
        """Return the MAC of a device, None if nobody knows it."""
        if address not in self._macs:
            try:
                self._macs[address] = self._ask(address)
            except RatwallError as error:
                self._complaints.tell(str(error))
                self._macs[address] = None
        return self._macs[address]

    def forget(self) -> None:
        """Ask again from now on."""
        self._macs.clear()
