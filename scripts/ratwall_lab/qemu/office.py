"""The emulated box in its place: office, box, internet with a router.

It reuses the lab's namespaces and servers as they are; only the box is a whole machine. In bridge
mode the box asks the office's router for an address by DHCP, as it does in an office.
"""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from ratwall_lab.namespaces import LabError
from ratwall_lab.qemu.cable import lay_cables
from ratwall_lab.topology import GATEWAY, OFFICE_IPV4, Lab

LEASES = range(100, 120)  # last parts of the addresses that the router gives
LEASE_TIME = "1h"
LEASE_SECONDS = 120.0
POLL_SECONDS = 0.5
PAGE_PORT = 443


class Office:
    """The lab around an emulated box; a context manager, what it made is gone afterwards."""

    def __init__(self, folder: Path) -> None:
        """`folder` keeps the router's lease file."""
        self.lab = Lab("bridge", with_bridge=False)
        self._leases = folder / "leases"
        self._folder = folder

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self.lab.up()
        try:
            lay_cables(self.lab.box)
            self._give_addresses()
        except BaseException:
            self.lab.down()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.lab.down()

    def box_address(self, timeout: float = LEASE_SECONDS) -> str:
        """Wait for the box to have asked for an address; the newest it got."""
        deadline = time.monotonic() + timeout
        while True:
            # One line a lease: when it ends, MAC, address, name, client id.
            lines = self._leases.read_text().splitlines() if self._leases.exists() else []
            rows = [words for line in lines if len(words := line.split()) == 5]
            if rows:
                return max(rows, key=lambda words: int(words[0]))[2]
            if time.monotonic() >= deadline:
                raise LabError(f"the box has not asked for an address within {timeout:.0f} s")
            time.sleep(POLL_SECONDS)

    def certificate(self, address: str, timeout: float = LEASE_SECONDS) -> str:
        """Return the certificate that the box shows to the office, in PEM."""
        with self.lab.anna.enter():
            return ssl.get_server_certificate((address, PAGE_PORT), timeout=timeout)

    def _give_addresses(self) -> None:
        first, last = (f"{OFFICE_IPV4}{number}" for number in (LEASES[0], LEASES[-1]))
        self.lab.internet.popen(
            [
                *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0"),
                *("--user=root", "--pid-file=", "--interface=eth0", "--except-interface=lo"),
                *("--dhcp-authoritative", "--no-ping", f"--dhcp-range={first},{last},{LEASE_TIME}"),
                f"--dhcp-option=option:router,{OFFICE_IPV4}{GATEWAY}",
                f"--dhcp-leasefile={self._leases}",
                f"--log-facility={self._folder / 'router.log'}",
            ]
        )
