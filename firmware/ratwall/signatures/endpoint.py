"""The far end of a connection, as signatures see it."""

import ipaddress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server's address (4 or 16 octets, network order) and TCP port."""

    server: bytes
    port: int

    @property
    def address(self) -> str:
        """The address as people write it."""
        return str(ipaddress.ip_address(self.server))
