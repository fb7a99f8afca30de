"""The controller's hand on the kernel's sets: blocks, allows, counters.

Every change is one nftables transaction. Blocks and allows hold in the kernel with or without a
process of ours; the ledger says why they are there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from ratwall.kernel import tables
from ratwall.kernel.command import ToolError, nft, nft_json
from ratwall.kernel.listed import server_of
from ratwall.kernel.response import Held, ResponseConfig, response_text
from ratwall.kernel.ruleset import MISSED_SECONDS, TABLE

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class BlockedEndpoint:
    """An element of a blocked set; seconds_left is None when it never expires."""

    server: Address
    port: int
    seconds_left: int | None


@dataclass(frozen=True, slots=True)
class Missed:
    """Connections of a device with an endpoint that passed uninspected, the last `age` s ago."""

    device: str
    server: str
    port: int
    age: int


class Sets:
    """The sets of table inet ratwall."""

    def __init__(self, response: ResponseConfig | None = None) -> None:
        """Without `response` it does not know where `respond` lays its chains."""
        self._response = response

    def respond(self, held: Sequence[Held]) -> None:
        """Have exactly this held of devices, as one transaction: quarantines, blocks, pauses."""
        if self._response is None:
            raise ToolError("the ports of the box are not known here")
        try:
            text = response_text(self._response, held)
        except ValueError as error:
            raise ToolError(str(error)) from error
        nft(text)

    def block(self, server: str, port: int, seconds: int) -> None:
        """Refuse an endpoint to every device for a time; a block that is there is renewed."""
        nft(self._replacement(*self._block_element(server, port), seconds))

    def unblock(self, server: str, port: int) -> None:
        """Take a block away; nothing happens where there is none."""
        nft(self._absent(*self._block_element(server, port)))

    def allow(self, device: str | None, server: str, port: int, seconds: int | None) -> None:
        """Let an endpoint pass uninspected, for one device or for all (None), None for always."""
        nft(self._replacement(*self._allow_element(device, server, port), seconds))

    def disallow(self, device: str | None, server: str, port: int) -> None:
        """Take an allow away; nothing happens where there is none."""
        nft(self._absent(*self._allow_element(device, server, port)))

    def blocks(self) -> list[BlockedEndpoint]:
        """Return what the kernel refuses to all devices at this moment."""
        return [
            BlockedEndpoint(ip_address(address), port, left // 1000 if left else None)
            for name in ("blocked4", "blocked6")
            for key, left in tables.elements(TABLE, name)
            for address, port in (server_of(key, name),)
        ]

    def missed(self) -> list[Missed]:
        """Return what passed uninspected within the last hour, as far as the sets had room."""
        return [
            Missed(device, server, port, MISSED_SECONDS - (left or 0))
            for name in ("missed4", "missed6")
            for value, left in _elements(nft_json("list", "set", "inet", TABLE, name))
            for device, server, port in (value["concat"],)
        ]

    def restore(
        self,
        blocks: Sequence[tuple[str, int, int]],
        allows: Sequence[tuple[str | None, str, int, int | None]],
    ) -> None:
        """Put many blocks (server, port, seconds) and allows (device, server, port, seconds) in
        as one transaction; of two for an element the last one counts."""
        elements = {
            self._block_element(server, port): seconds for server, port, seconds in blocks
        } | {
            self._allow_element(device, server, port): seconds
            for device, server, port, seconds in allows
        }
        if elements:
            nft("".join(self._replacement(*place, left) for place, left in elements.items()))

    def counters(self) -> dict[str, int]:
        """Return packets counted by the kernel: `uninspected_packets`, `refused_packets` and more.

        Of both tables; what both count under one name is added up.
        """
        return {f"{name}_packets": count for name, count in tables.counters(TABLE).items()}

    @staticmethod
    def _block_element(server: str, port: int) -> tuple[str, str]:
        address = ip_address(server)
        return f"blocked{address.version}", f"{address} . {port}"

    @staticmethod
    def _allow_element(device: str | None, server: str, port: int) -> tuple[str, str]:
        address = ip_address(server)
        if device is None:
            return f"allowed{address.version}", f"{address} . {port}"
        source = ip_address(device)
        if source.version != address.version:
            raise ToolError(
                f"allow: device {device} and server {server} are not of one address family"
            )
        return f"allowed_device{address.version}", f"{source} . {address} . {port}"

    @staticmethod
    def _absent(name: str, element: str) -> str:
        # `delete element` fails where there is none; adding it first makes it idempotent.
        return (
            f"add element inet {TABLE} {name} {{ {element} }}\n"
            f"delete element inet {TABLE} {name} {{ {element} }}\n"
        )

    def _replacement(self, name: str, element: str, seconds: int | None) -> str:
        timed = element if seconds is None else f"{element} timeout {seconds}s"
        return self._absent(name, element) + f"add element inet {TABLE} {name} {{ {timed} }}\n"


def _elements(listing: list[dict[str, Any]]) -> list[tuple[dict[str, Any], int | None]]:
    """Return (value, seconds left) of each element of one listed set."""
    found = []
    for entry in listing:
        for element in entry.get("set", {}).get("elem", []):
            inner = element.get("elem", element)
            value = inner.get("val", inner)
            found.append((value, inner.get("expires")))
    return found
