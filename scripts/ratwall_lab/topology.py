"""The lab's wiring: two office devices, a switch, the box and an internet of sixteen addresses.

    anna ─┐                                  router: 203.0.113.1, 2001:db8:99::1 on `wan`
          ├─ switch ── lan [ box ] wan ── internet
    ben  ─┘                                  bridge: `lan` and `wan` in `br0`, no address at all

Router mode: the box routes between the office (192.168.77.0/24, 2001:db8:77::/64) and the internet,
on request with masquerading in a table of its own (`lab_masquerade`). Bridge mode: the office's
router is a part of `internet` (192.168.77.1), the box is a cable. The internet's addresses are
the same in both. It never connects anything of this to the machine's own networks.
Design note: veth pairs are created straight into the namespaces, so that the machine's own list of
interfaces never changes and any number of labs can stand side by side.
"""

from __future__ import annotations

import itertools
import os
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Literal, Self

from ratwall_lab.namespaces import Host, LabError, namespace_names, remove_namespace, run_tool
from ratwall_lab.tagging import TaggedCable
from ratwall_lab.tags import PPPOE_OVERHEAD, Tagging

Mode = Literal["router", "bridge"]

INTERNET_ADDRESSES = 16  # enough for one per look-alike and per benign server
FIRST_INTERNET_HOST = 10  # below are the box and the provider's router
HALF = INTERNET_ADDRESSES // 2  # half in 203.0.113.0/24, half in 198.51.100.0/24
INTERNET_IPV4 = tuple(f"203.0.113.{FIRST_INTERNET_HOST + index}" for index in range(HALF)) + tuple(
    f"198.51.100.{FIRST_INTERNET_HOST + index}" for index in range(HALF)
)
INTERNET_IPV6 = tuple(
    f"2001:db8:99::{FIRST_INTERNET_HOST + index}" for index in range(INTERNET_ADDRESSES)
)
OFFICE = {"anna": 11, "ben": 12}  # device → last part of its address in both families
OFFICE_IPV4, OFFICE_IPV6 = "192.168.77.", "2001:db8:77::"
GATEWAY = 1
BOX_WAN_IPV4, BOX_WAN_IPV6 = "203.0.113.1", "2001:db8:99::1"
# The provider's router must not be a server's address: a firewall never blocks its own gateway.
PROVIDER_IPV4, PROVIDER_IPV6 = "203.0.113.2", "2001:db8:99::2"
OFFLOADS = ("gso", "tso", "gro")

MASQUERADE = """
table inet lab_masquerade {
    chain postrouting {
        type nat hook postrouting priority 100;
        oifname "wan" masquerade
    }
}
"""

_numbers = itertools.count(1)


class Lab:
    """The laid-out lab; use it as a context manager, what it made is gone afterwards."""

    def __init__(
        self,
        mode: Mode = "router",
        *,
        masquerade: bool = False,
        offloads: bool = True,
        with_bridge: bool = True,
        mtu: int = 1500,
        tagging: Tagging | None = None,
        prefix: str | None = None,
    ) -> None:
        """Describe a lab: `masquerade` only in router mode; `offloads` False switches GSO, TSO and
        GRO off; `with_bridge` False leaves `lan` and `wan` loose in bridge mode; `tagging`, in
        bridge mode, has devices and internet speak in tagged frames; `prefix` names the namespaces
        (default: unique for this process)."""
        self.mode = mode
        self.masquerade = masquerade
        self.offloads = offloads
        self.with_bridge = with_bridge
        self.mtu = mtu
        self.tagging = tagging
        self.tagged_cables: list[TaggedCable] = []
        self.prefix = prefix or f"rw{os.getpid()}n{next(_numbers)}"
        gateway4, gateway6 = f"{OFFICE_IPV4}{GATEWAY}", f"{OFFICE_IPV6}{GATEWAY}"
        box4, box6 = ((gateway4, BOX_WAN_IPV4), (gateway6, BOX_WAN_IPV6))
        routes = mode == "router"
        self.anna, self.ben = (
            self._host(name, (f"{OFFICE_IPV4}{number}",), (f"{OFFICE_IPV6}{number}",))
            for name, number in OFFICE.items()
        )
        self.switch = self._host("switch", (), ())
        self.box = self._host("box", box4 if routes else (), box6 if routes else ())
        self.internet = self._host("internet", INTERNET_IPV4, INTERNET_IPV6)

    @property
    def hosts(self) -> tuple[Host, ...]:
        """All machines of the lab, office first."""
        return (self.anna, self.ben, self.switch, self.box, self.internet)

    def host(self, name: str) -> Host:
        """Return the machine called `name`; LabError names the ones there are."""
        for host in self.hosts:
            if host.name == name:
                return host
        names = ", ".join(host.name for host in self.hosts)
        raise LabError(f"no machine called {name!r} in the lab: there are {names}")

    def in_namespace(self, host: Host | str) -> AbstractContextManager[None]:
        """Move the current thread into a machine of the lab, and back afterwards."""
        return (self.host(host) if isinstance(host, str) else host).enter()

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.down()

    def up(self) -> None:
        """Make namespaces, cables, addresses and routes; on failure nothing is left behind."""
        if os.geteuid() != 0:
            raise LabError("the lab makes network namespaces: run it as root (sudo)")
        taken = namespace_names() & {host.namespace for host in self.hosts}
        if taken:
            raise LabError(f"a lab called {self.prefix} is up already ({', '.join(sorted(taken))})")
        try:
            self._make_namespaces()
            self._connect_office()
            self._connect_box()
            self._connect_internet()
            if not self.offloads:
                self._switch_offloads_off()
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """End the lab's processes, then remove its namespaces (and with them the cables)."""
        for host in self.hosts:
            host.end_processes()
        self.tagged_cables.clear()
        for host in self.hosts:
            remove_namespace(host.namespace)

    # -- the wiring ---------------------------------------------------------------------------

    def _host(self, name: str, ipv4: tuple[str, ...], ipv6: tuple[str, ...]) -> Host:
        return Host(name, f"{self.prefix}-{name}", ipv4, ipv6)

    def _make_namespaces(self) -> None:
        for host in self.hosts:
            run_tool(["ip", "netns", "add", host.namespace])
            for scope in ("all", "default"):
                # No waiting for duplicate address detection, no addresses we did not give.
                host.write_sysctl(f"net.ipv6.conf.{scope}.accept_dad", 0)
                host.write_sysctl(f"net.ipv6.conf.{scope}.accept_ra", 0)
            _ip(host, ["link set lo up"])

    def _connect_office(self) -> None:
        switch = self.switch
        _ip(switch, ["link add br0 type bridge forward_delay 0", "link set br0 up"])
        _cable(switch, "box", self.box, "lan", self.mtu)
        for device in (self.anna, self.ben):
            self._attach(device, switch, device.name)
            _ip(
                device,
                [
                    *_addresses("eth0", device.ipv4, 24),
                    *_addresses("eth0", device.ipv6, 64),
                    "link set eth0 up",
                    f"route add default via {OFFICE_IPV4}{GATEWAY}",
                    f"route add default via {OFFICE_IPV6}{GATEWAY}",
                ],
            )
        ports = ("box", self.anna.name, self.ben.name)
        _ip(switch, [line for port in ports for line in _port("br0", port)])

    def _connect_box(self) -> None:
        box = self.box
        self._attach(self.internet, box, "wan")
        if self.mode == "bridge":
            # No address at all, not even a link-local one: the box must work as a bare cable.
            _ip(box, [f"link set {port} addrgenmode none" for port in ("lan", "wan")])
            if self.with_bridge:
                make = ["link add br0 type bridge forward_delay 0", "link set br0 addrgenmode none"]
                _ip(box, [*make, *_port("br0", "lan"), *_port("br0", "wan"), "link set br0 up"])
            return
        _ip(
            box,
            [
                *_addresses("lan", box.ipv4[:1], 24),
                *_addresses("lan", box.ipv6[:1], 64),
                *_addresses("wan", box.ipv4[1:], 24),
                *_addresses("wan", box.ipv6[1:], 64),
                "link set lan up",
                "link set wan up",
                f"route add default via {PROVIDER_IPV4}",
                f"route add default via {PROVIDER_IPV6}",
            ],
        )
        box.write_sysctl("net.ipv4.ip_forward", 1)
        box.write_sysctl("net.ipv6.conf.all.forwarding", 1)
        if self.masquerade:
            run_tool(box.argv(["nft", "-f", "-"]), text=MASQUERADE)

    def _connect_internet(self) -> None:
        if self.mode == "bridge":
            lines = [
                *_addresses("eth0", (f"{OFFICE_IPV4}{GATEWAY}",), 24),
                *_addresses("eth0", (f"{OFFICE_IPV6}{GATEWAY}",), 64),
                *_addresses("lo", INTERNET_IPV4, 32),
                *_addresses("lo", INTERNET_IPV6, 128),
                "link set eth0 up",
            ]
        else:
            lines = [
                *_addresses("eth0", (PROVIDER_IPV4, *INTERNET_IPV4[:HALF]), 24),
                *_addresses("eth0", (PROVIDER_IPV6, *INTERNET_IPV6), 64),
                *_addresses("lo", INTERNET_IPV4[HALF:], 32),
                "link set eth0 up",
                f"route add {OFFICE_IPV4}0/24 via {BOX_WAN_IPV4}",
                f"route add {OFFICE_IPV6}/64 via {BOX_WAN_IPV6}",
            ]
        _ip(self.internet, lines)

    def _attach(self, host: Host, wire: Host, wire_port: str) -> None:
        """Give a host its card, eth0, with the other end of its cable at `wire`."""
        if self.tagging is None:
            _cable(host, "eth0", wire, wire_port, self.mtu)
            return
        self.tagged_cables.append(TaggedCable(host, "eth0", wire, wire_port, self.tagging))
        inside_mtu = self.mtu - (PPPOE_OVERHEAD if self.tagging == "pppoe" else 0)
        _ip(host, [f"link set eth0 mtu {inside_mtu}"])
        _ip(wire, [f"link set {wire_port} mtu {self.mtu}"])

    def _switch_offloads_off(self) -> None:
        setting = [word for name in OFFLOADS for word in (name, "off")]
        ports = (
            (self.anna, ("eth0",)),
            (self.ben, ("eth0",)),
            (self.switch, ("box", "anna", "ben")),
            (self.box, ("lan", "wan")),
            (self.internet, ("eth0",)),
        )
        for host, names in ports:
            for name in names:
                run_tool(host.argv(["ethtool", "-K", name, *setting]))


def _ip(host: Host, lines: list[str]) -> None:
    """Run several `ip` commands in one host with one process (stops at the first error)."""
    run_tool(["ip", "-n", host.namespace, "-batch", "-"], text="\n".join(lines) + "\n")


def _cable(one: Host, one_port: str, other: Host, other_port: str, mtu: int) -> None:
    far = f"peer name {other_port} mtu {mtu} netns {other.namespace}"
    _ip(one, [f"link add {one_port} mtu {mtu} type veth {far}"])


def _port(bridge: str, port: str) -> list[str]:
    return [f"link set {port} master {bridge}", f"link set {port} up"]


def _addresses(port: str, addresses: tuple[str, ...], length: int) -> list[str]:
    flag = "nodad" if ":" in addresses[0] else ""
    return [f"address add {address}/{length} dev {port} {flag}" for address in addresses]
